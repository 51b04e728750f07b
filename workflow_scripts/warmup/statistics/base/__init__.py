"""Runs as tables, blocks of arms x seeds, and the intervals that all chapters use."""
