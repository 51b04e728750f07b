"""Falcon-Mamba: Mamba with normalised time step and state projections."""

from warmup.architectures.families import mamba

KERNELS = mamba.KERNELS
PLAIN_CAUSAL = False
problems = mamba.problems
longest_sequence = mamba.longest_sequence
overrides = mamba.overrides
