"""The command `warmup VERB ...`: parse, call the verb, print text or JSON; exit code 0 (answered), 3 (cannot say) or 2
(wrong input). `python -m warmup.command` is the same.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence

from warmup.command import advise, entry, judge, schedule
from warmup.command.answer import FORMAT, WRONG_INPUT
from warmup.errors import UserError

VERBS = {"advise": advise, "judge": judge, "schedule": schedule, "entry": entry}
"""Each has DESCRIPTION (of its help), `add_arguments(parser)` and `answer(arguments)`, which imports what is heavy."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code of the verb that the command line names."""
    chosen = _parser().parse_args(arguments)
    try:
        answer = VERBS[chosen.verb].answer(chosen)
    except UserError as error:
        return _wrong(chosen, str(error))
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("warmup"):
            raise
        return _wrong(chosen, f"{error.name} is not installed; `pip install '.[train]'` in the checkout does")
    if chosen.json:
        reply = {"format": FORMAT, "verb": chosen.verb, "answered": answer.said, **answer.data}
        print(json.dumps(reply, indent=1, allow_nan=False))
    else:
        print(answer.text.rstrip("\n"))
    return answer.code


def _wrong(chosen: argparse.Namespace, error: str) -> int:
    """Say in one sentence, in the form that was asked for, why there is no answer."""
    if chosen.json:
        print(json.dumps({"format": FORMAT, "verb": chosen.verb, "answered": False, "error": error}))
    else:
        print(f"error: {error}", file=sys.stderr)
    return WRONG_INPUT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="warmup",
        description="How much learning-rate warmup does your model need?",
        epilog="Exit codes: 0 answered, 3 cannot say, 2 wrong input. More: docs/advice.md",
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, verb in VERBS.items():
        own = verbs.add_parser(name, help=verb.DESCRIPTION, description=verb.DESCRIPTION)
        verb.add_arguments(own)
        own.add_argument("--json", action="store_true", help="print JSON (its shape: command/answers.schema.yaml)")
    return parser


if __name__ == "__main__":
    try:
        status = main()
        sys.stdout.flush()
    except BrokenPipeError:  # `warmup ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 0
    sys.exit(status)
