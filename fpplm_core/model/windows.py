"""The windows of an encoder: cut by its tokenizer, no longer than it accepts, with word shapes or without."""

from __future__ import annotations

from fpplm_core.model.pretrained import check_window, load_config, load_tokenizer
from fpplm_core.model.settings import ModelSettings
from fpplm_core.model.word_shapes import choose_shapes
from fpplm_core.tagging.windows import WindowBuilder


def load_window_builder(
    settings: ModelSettings, window: int, stride: int, context: int
) -> tuple[WindowBuilder, int | None]:
    """The builder of windows for an encoder, and the piece that stands for a hidden word.

    Raises EncoderError; ParamsError if a window is longer than the encoder accepts, or if it takes no word shapes.
    """
    tokenizer = load_tokenizer(settings.encoder, settings.revision)
    config = load_config(settings.encoder, settings.revision)
    check_window(window, config, tokenizer)
    first_shape = choose_shapes(settings.shapes, config, tokenizer)
    builder = WindowBuilder(tokenizer.backend_tokenizer, window, stride, context, first_shape)
    return builder, tokenizer.mask_token_id
