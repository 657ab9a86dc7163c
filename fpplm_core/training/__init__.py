"""The loop, and the techniques of FP-PLM that it runs."""
