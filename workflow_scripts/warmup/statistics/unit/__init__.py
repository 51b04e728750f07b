"""In which unit a need of warmup is the same: steps, share of training, examples, memory of the second moment."""
