"""Words, tags, spans, windows and decoding, which training and serving share; numpy and tokenizers only."""
