"""Falcon-Mamba: Mamba with normalised time step and state projections."""

from warmup.architectures.families import mamba

KERNELS = mamba.KERNELS
problems = mamba.problems
longest_sequence = mamba.longest_sequence
overrides = mamba.overrides
