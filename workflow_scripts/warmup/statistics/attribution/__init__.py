"""Whose warmup it is: roles of parameters, optimisers and changed networks, contrast by contrast."""
