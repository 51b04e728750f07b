"""Figures: tables in, drawings out. No statistics are computed here."""
