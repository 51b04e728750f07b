"""From a named source to memory-mapped arrays."""
