"""Which source a result depends on, what changed since, and why it would run again."""
