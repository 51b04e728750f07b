"""Whether a run that goes on from another one has to warm up again: contrasts of branches, paired by seed."""
