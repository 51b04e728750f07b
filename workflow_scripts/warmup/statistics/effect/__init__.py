"""How much the outcome depends on warmup: optima, plateaus, comparisons, power."""
