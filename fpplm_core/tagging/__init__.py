"""Words, tags, spans, windows and their decoding: what training and serving share; numpy and tokenizers alone."""
