"""Sharing machines: GPU leases, jobs a killed Snakemake left behind, memory that ran out."""
