"""Tests for a machine with an NVIDIA GPU (`make test-gpu`); nowhere else are they collected."""

import os

collect_ignore_glob = [] if os.environ.get("WARMUP_TEST_GPU") else ["test_*.py"]
