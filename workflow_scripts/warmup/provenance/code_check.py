"""Command: digests of code as JSON on standard input, those that no longer hold as a JSON list on standard output.

`adapters.run` asks it at the start of every job, in a process of its own: so no result depends on how this is done.
"""

import json
import sys

from warmup.provenance import closure

if __name__ == "__main__":
    json.dump(closure.changed(json.load(sys.stdin)), sys.stdout)
