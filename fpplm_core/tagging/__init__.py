"""Words, tags, spans, windows and decoding, which training and serving share; numpy, regex and tokenizers only."""
