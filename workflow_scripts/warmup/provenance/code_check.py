"""Command: the digest that each file of the code is recorded with, {path: digest}, as JSON on standard output.

With keys of the user's own files as arguments: those of these files. A job asks it (`code_state`) in a process of its
own: so no result depends on how this is done.
"""

import json
import sys

from warmup.provenance import closure

if __name__ == "__main__":
    own = sys.argv[1:]
    json.dump(closure.meanings_of_own(own) if own else closure.meanings(), sys.stdout)
