"""What a person at a terminal sees of a study: its progress, its counts so far, its answer."""
