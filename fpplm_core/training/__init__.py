"""The training loop, and the techniques of FP-PLM."""
