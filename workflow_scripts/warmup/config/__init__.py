"""Settings of a scale: checked, completed and resolved per run; what cannot be run; which runs there are."""
