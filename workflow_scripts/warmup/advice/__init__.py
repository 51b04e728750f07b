"""What `warmup advise` rests on: finished studies of others, short runs of one's own model, what they say."""
