"""From the runs table to answers: optima, plateaus, comparisons, predictions. No torch, no Snakemake."""
