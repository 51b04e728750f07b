"""Every deviation that the page for transformers' maintainers names is there, in at most ten lines that run."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest
import torch

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "upstream.md").read_text()
REPRODUCERS = dict(re.findall(r"^## ([^\n]+)\n\n```python\n(.*?)```", PAGE, re.MULTILINE | re.DOTALL))
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


def shown(values: tuple[Any, ...]) -> list[float]:
    """The numbers that a print shows, in order."""
    numbers = []
    for value in values:
        if isinstance(value, torch.Tensor):
            numbers += value.detach().double().flatten().tolist()
        elif not isinstance(value, str):
            numbers.append(float(value))
    return numbers


@pytest.mark.parametrize("title", REPRODUCERS)
def test_a_reproducer_is_short_and_prints_what_its_comments_say(title: str) -> None:
    code = REPRODUCERS[title]
    lines = [line for line in code.splitlines() if line.strip()]
    assert len(lines) <= 10, title
    printed: list[tuple[Any, ...]] = []
    torch.manual_seed(0)
    exec(compile(code, title, "exec"), {"print": lambda *values: printed.append(values)})
    comments = [line.partition("#")[2] for line in lines if "print(" in line]
    assert len(ast.parse(code).body) >= 3 and len(printed) >= len(comments) > 0
    for values, comment in zip(printed, comments, strict=False):
        known = [float(number) for number in NUMBER.findall(comment.partition(";")[0])]
        first = shown(values)[0]
        assert first == pytest.approx(known[0], rel=0.05, abs=1e-6), (title, comment)
