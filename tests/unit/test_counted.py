"""Rows of the pages of simulations: counted once, again when the code or the number of studies asks for it."""

from pathlib import Path

import pytest
from known_truth.counted import Group, Store, digest


@pytest.fixture
def counted() -> list[int]:
    """How many studies each count was asked for, in order."""
    return []


def group(counted: list[int], what: str = "null", code: str = "a", studies: int = 100) -> Group:
    def count(number: int) -> list[dict[str, int]]:
        counted.append(number)
        return [{"studies": number}]

    return Group("one cell", what, code, studies, count)


def test_what_was_counted_by_the_same_code_is_not_counted_again(counted: list[int], tmp_path: Path) -> None:
    store = Store(tmp_path / "counted.json")
    store.count(group(counted))
    again = Store(tmp_path / "counted.json")
    assert again.current(group(counted)) and again.current(group(counted, studies=50))
    assert not again.current(group(counted, code="b")) and not again.current(group(counted, studies=200))
    assert not again.current(group(counted, what="cliff"))
    assert counted == [100] and again.rows([group(counted, code="b")]) == [{"studies": 100}]


def test_a_page_says_what_counted_its_rows_and_what_was_not_counted(counted: list[int], tmp_path: Path) -> None:
    store = Store(tmp_path / "counted.json")
    store.count(group(counted))
    known = [group(counted), group(counted, what="cliff")]
    commit = store.groups["one cell: null"]["commit"]
    present = store.origin(known)
    assert present == f"- commit {commit}, 100 studies: one cell (null).\n- not counted: one cell (cliff)."
    assert "by code that has changed since: one cell." in store.origin([group(counted, code="b")])


def test_the_digest_of_a_count_covers_the_rule_s_code_and_the_module_that_draws() -> None:
    marks = {digest(["optima"], ["worlds"]), digest(["rates"], ["worlds"]), digest(["optima"], ["promises"])}
    assert len(marks) == 3 and digest(["optima"], ["worlds"]) in marks
