"""Command: the digest that each file of the code is recorded with, {path: digest}, as JSON on standard output.

A job asks it (`code_state.meanings`) in a process of its own: so no result depends on how this is done.
"""

import json
import sys

from warmup.provenance import closure

if __name__ == "__main__":
    json.dump(closure.meanings(), sys.stdout)
