"""Command, no rule: `python workflow_scripts/why.py [options of snakemake]` says what would run again, and why."""

import sys

from warmup import why

if __name__ == "__main__":
    sys.exit(why.main(sys.argv[1:]))
