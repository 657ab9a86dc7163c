"""The tagger: a pretrained encoder and a head over the first piece of each word."""
