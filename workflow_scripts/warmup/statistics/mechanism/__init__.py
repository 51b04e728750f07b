"""Entropy, spectra and where a spike comes from."""
