"""encode: sentences become windows of sub-word ids for the encoder, build/encoded/*.parquet."""

from __future__ import annotations

from fpplm.pipeline.paths import CORPUS, ENCODED
from fpplm.pipeline.stage import run
from fpplm_core.data.corpus import SPLITS, distinct_tags, open_corpus, stream_corpus
from fpplm_core.data.windows import file_of, with_labels, write_windows
from fpplm_core.files import read_json, write_json
from fpplm_core.model import pretrained
from fpplm_core.model.word_shapes import choose_shapes
from fpplm_core.params import load
from fpplm_core.tagging.schemes import INNER_SCHEME, label_list
from fpplm_core.tagging.spans import types_of
from fpplm_core.tagging.windows import WindowBuilder


def main() -> None:
    settings = load()
    name, revision = settings.model.encoder, settings.model.revision
    tokenizer = pretrained.load_tokenizer(name, revision)
    pretrained.check_window(settings.encode.window, pretrained.load_config(name, revision), tokenizer)
    ENCODED.mkdir(parents=True, exist_ok=True)
    tokenizer.backend_tokenizer.save(str(ENCODED / "tokenizer.json"))
    sizes = settings.encode
    first_shape = choose_shapes(settings.model, tokenizer)
    encoder = WindowBuilder(tokenizer.backend_tokenizer, sizes.window, sizes.stride, sizes.context, first_shape)

    scheme = "TAGS" if read_json(CORPUS / "corpus.json")["scheme"] == "TAGS" else INNER_SCHEME
    labels = label_list(types_of([distinct_tags(open_corpus("train"))]), scheme)
    second = sorted(distinct_tags(open_corpus("second"))) if (CORPUS / "second.parquet").exists() else []
    apart = bool(second) and file_of("second") != file_of("train")
    beside = stream_corpus("second") if second and not apart else iter(())
    counts = {}
    for split in SPLITS:
        sentences = stream_corpus(split)
        tasks = ("labels", "second") if split == "train" else ()
        rows = with_labels(sentences, labels, beside, second) if tasks else ((s, {}) for s in sentences)
        counts[split] = write_windows(ENCODED / f"{split}.parquet", rows, encoder, tasks)
        print(f"{split}: {counts[split]['windows']} windows, {counts[split]['pieces']} pieces")
    (ENCODED / "second.parquet").unlink(missing_ok=True)
    if apart:
        index = {label: number for number, label in enumerate(second)}
        rows = ((s, {"second": [index[tag] for tag in s.tags]}) for s in stream_corpus("second"))
        write_windows(ENCODED / "second.parquet", rows, encoder, ("second",))
    # What stands for a hidden word; an encoder without such a piece (GPT-2) gets its filler.
    mask_id = encoder.filler if tokenizer.mask_token_id is None else tokenizer.mask_token_id
    facts = {"labels": labels, "first_shape": first_shape, "mask_id": mask_id, "second": second}
    write_json(ENCODED / "encoding.json", {**facts, "counts": counts})


if __name__ == "__main__":
    run(main)
