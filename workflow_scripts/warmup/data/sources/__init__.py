"""Where data come from: one source per file, chosen by name; what they share is in the files that begin with `_`.

A source has `KIND` (the kind of task it serves), `CREDIT`, `DEFAULTS` (its options) and `load(options)`, which returns
what its kind of task is prepared from: Text, Images or Series (see `_common`).
"""
