"""Synthetic studies whose truth is known, and what the statistics make of them."""
