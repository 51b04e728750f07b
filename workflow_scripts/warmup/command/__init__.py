"""The command `warmup`: advice for one's own model, judgement of one's own runs, lines for one's own trainer."""
