"""Falcon-Mamba's start: Mamba's, since the training code of its authors is not public.

The norms of B, C and Delta that it adds have no weights. transformers differs as it does for Mamba.
"""

from warmup.architectures.starts import mamba

SOURCE = f"not public; as Mamba, whose layer it is (arXiv 2410.05355): {mamba.SOURCE}"
ADAPTERS = mamba.ADAPTERS
law = mamba.law
