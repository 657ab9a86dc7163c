"""Splits words into windows with a bundle's tokenizer, and reports its faults as those of the bundle."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tokenizers import Tokenizer
from tokenizers.normalizers import BertNormalizer

from fpplm_core.errors import BundleError
from fpplm_core.serving.bundle import TOKENIZER, Bundle
from fpplm_core.serving.files import FETCH, one_line, parse_json
from fpplm_core.tagging.tokenizer_rules import require_known_parts
from fpplm_core.tagging.windows import Documents, Window, WindowBuilder


class BundleWindowBuilder(WindowBuilder):
    """The windows of training, from a bundle's tokenizer. Methods raise BundleError where that fails."""

    def __init__(self, bundle: Bundle) -> None:
        self.where, config = str(bundle.path / TOKENIZER), bundle.config
        tokenizer = load_tokenizer(bundle.read(TOKENIZER), self.where)
        if config.lower_case:
            if not isinstance(tokenizer.normalizer, BertNormalizer):
                got = type(tokenizer.normalizer).__name__
                raise BundleError("`lower_case` needs BERT's normalizer", where=self.where, got=got, do=FETCH)
            tokenizer.normalizer.lowercase = True
        with tokenizer_faults(self.where):
            super().__init__(tokenizer, config.window, config.stride, config.context, config.first_shape)
        if self.capacity < 1:
            got = f"{config.window - self.capacity} special pieces in a window of {config.window}"
            do = "make the bundle again, with a longer encode.window"
            raise BundleError("a window has no room for words", where=self.where, got=got, do=do)

    def windows(
        self,
        sentences: Sequence[Sequence[str]],
        documents: Documents = None,
        own: range | None = None,
    ) -> list[Window]:
        with tokenizer_faults(self.where):
            return super().windows(sentences, documents, own)


def load_tokenizer(raw: bytes, where: str) -> Tokenizer:
    """The tokenizer that tokenizer.json describes. Raises BundleError if it has parts that the rules do not know."""
    values = parse_json(raw, where)
    try:
        require_known_parts(values)
    except ValueError as error:
        do = "make the bundle with an encoder of a tested family (docs/deploy.md)"
        raise BundleError(f"the tokenizer has a {error}", where=where, do=do) from None
    with tokenizer_faults(where):
        return Tokenizer.from_str(raw.decode("utf-8"))


@contextmanager
def tokenizer_faults(where: str) -> Iterator[None]:
    """Raises BundleError for what tokenizers raises about its own file, and nothing for a caller's mistakes."""
    try:
        yield
    except BaseException as error:  # a panic of its Rust code, PanicException, is no Exception
        # Its errors are plain exceptions; StopIteration: its post-processor changes the pieces of a word.
        if type(error) not in (Exception, StopIteration) and type(error).__name__ != "PanicException":
            raise
        raise BundleError("the tokenizer failed", where=where, got=one_line(error), do=FETCH) from None
