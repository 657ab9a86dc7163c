"""encode: sentences become windows of sub-word pieces for the encoder, build/encoded."""

from __future__ import annotations

from fpplm.pipeline import paths, stage
from fpplm_core.data import windows
from fpplm_core.data.settings import EncodeSettings
from fpplm_core.files import write_record
from fpplm_core.model.settings import ModelSettings
from fpplm_core.model.windows import load_window_builder


def encode(model: ModelSettings, encode: EncodeSettings) -> None:
    builder, mask_id = load_window_builder(model, encode.window, encode.stride, encode.context)
    paths.ENCODED.mkdir(parents=True, exist_ok=True)
    builder.tokenizer.save(str(paths.ENCODED / "tokenizer.json"))
    info = windows.encode_corpus(paths.CORPUS, paths.ENCODED, builder, mask_id)
    for split, counts in info.counts.items():
        print(f"{split}: {counts.windows} windows, {counts.pieces} pieces")
    write_record(paths.ENCODED / windows.INFO, info)


if __name__ == "__main__":
    stage.run(encode)
