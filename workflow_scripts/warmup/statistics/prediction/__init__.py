"""Warmup predicted from early steps, scored by regret on architectures left out."""
