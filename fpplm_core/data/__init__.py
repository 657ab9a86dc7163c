"""Annotated files of any format become one corpus, and its windows."""
