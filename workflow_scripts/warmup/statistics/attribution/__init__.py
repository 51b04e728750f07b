"""Whether a run's early spikes go with the warmup its architecture needs."""
