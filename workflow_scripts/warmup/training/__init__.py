"""One run: the loop, its records, checkpoints and sessions."""
