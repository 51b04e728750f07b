"""How much learning-rate warmup an architecture needs: training, probes, statistics, theory. No Snakemake in here."""
