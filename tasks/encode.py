"""encode: sentences become windows of sub-word pieces for the encoder, build/encoded."""

from __future__ import annotations

from fpplm.pipeline import paths, stage
from fpplm_core.data import windows
from fpplm_core.data.settings import EncodeSettings
from fpplm_core.files import write_record
from fpplm_core.model import pretrained
from fpplm_core.model.settings import ModelSettings
from fpplm_core.model.word_shapes import choose_shapes
from fpplm_core.tagging.windows import WindowBuilder


def encode(model: ModelSettings, encode: EncodeSettings) -> None:
    tokenizer = pretrained.load_tokenizer(model.encoder, model.revision)
    pretrained.check_window(encode.window, pretrained.load_config(model.encoder, model.revision), tokenizer)
    backend = tokenizer.backend_tokenizer
    paths.ENCODED.mkdir(parents=True, exist_ok=True)
    backend.save(str(paths.ENCODED / "tokenizer.json"))
    builder = WindowBuilder(backend, encode.window, encode.stride, encode.context, choose_shapes(model, tokenizer))
    info = windows.encode_corpus(paths.CORPUS, paths.ENCODED, builder, tokenizer.mask_token_id)
    for split, counts in info.counts.items():
        print(f"{split}: {counts.windows} windows, {counts.pieces} pieces")
    write_record(paths.ENCODED / windows.INFO, info)


if __name__ == "__main__":
    stage.run(encode)
