"""Checkpoints: atomic, checksummed, the previous kept, one writer, nothing half-written on a full disk."""

import multiprocessing
import multiprocessing.synchronize
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from warmup.errors import EnvironmentProblemError
from warmup.training import checkpoint_folders, checkpoints

SETTINGS: dict[str, Any] = {
    "coordinates": {"scale": "tiny", "architecture": "gpt2", "seed": "0"},
    "code": {"a.py": "1"},
}


def state(value: float) -> dict[str, Any]:
    return {"weights": torch.full((3,), value), "rows": [{"step": 1, "loss": value}]}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[checkpoints.Store]:
    with checkpoints.Store(tmp_path, SETTINGS).locked() as opened:
        yield opened


def files(store: checkpoints.Store) -> list[str]:
    return sorted(file.name for file in store.folder.glob("step-*"))


def test_the_newest_is_loaded_and_the_one_before_is_kept(store: checkpoints.Store) -> None:
    for step in (10, 20, 30):
        store.save(step, state(step))
    step, loaded = store.load() or (0, {})
    assert step == 30
    assert torch.equal(loaded["weights"], torch.full((3,), 30.0))
    assert loaded["rows"] == [{"step": 1, "loss": 30}]
    assert files(store) == ["step-00000020.checkpoint", "step-00000030.checkpoint"]


def test_a_run_killed_while_its_checkpoints_go_keeps_the_newest(
    store: checkpoints.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in (10, 20):
        store.save(step, state(step))
    unlink, gone = Path.unlink, list[str]()

    def killed_after_one(path: Path) -> None:
        if gone:
            raise KeyboardInterrupt
        gone.append(path.name)
        unlink(path)

    monkeypatch.setattr(Path, "unlink", killed_after_one)
    with pytest.raises(KeyboardInterrupt):
        store.remove()
    assert files(store) == ["step-00000020.checkpoint"]


@pytest.mark.parametrize("harm", ["truncate", "alter", "empty", "foreign"])
def test_a_harmed_checkpoint_is_told_of_and_the_previous_one_used(
    harm: str, store: checkpoints.Store, caplog: pytest.LogCaptureFixture
) -> None:
    store.save(10, state(10))
    store.save(20, state(20))
    newest = store.folder / "step-00000020.checkpoint"
    content = newest.read_bytes()
    harmed = {
        "truncate": content[:-7],
        "alter": content[:-7] + b"x" + content[-6:],
        "empty": b"",
        "foreign": b"PK" + content,
    }
    newest.write_bytes(harmed[harm])
    step, _ = store.load() or (0, {})
    assert step == 10
    assert "step-00000020.checkpoint cannot be used" in caplog.text


def test_a_checkpoint_of_other_code_is_not_used(store: checkpoints.Store, tmp_path: Path) -> None:
    store.save(10, state(10))
    other = checkpoints.Store(tmp_path, {**SETTINGS, "code": {"a.py": "2"}})
    assert other.folder != store.folder
    with other.locked():
        (store.folder / "step-00000010.checkpoint").rename(other.folder / "step-00000010.checkpoint")
        assert other.load() is None


def test_without_any_usable_checkpoint_a_run_starts_clean(store: checkpoints.Store) -> None:
    assert store.load() is None


def test_nothing_but_plain_data_is_loaded(store: checkpoints.Store, caplog: pytest.LogCaptureFixture) -> None:
    store.save(10, {"code": print})
    assert store.load() is None
    assert "cannot be used" in caplog.text


def _second_writer(root: Path, answers: Any) -> None:
    try:
        with checkpoints.Store(root, SETTINGS).locked():
            answers.put("locked")
    except EnvironmentProblemError as error:
        answers.put(str(error))


def test_a_second_writer_is_refused_while_the_first_lives(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    with checkpoints.Store(tmp_path, SETTINGS).locked():
        process = context.Process(target=_second_writer, args=(tmp_path, answers))
        process.start()
        assert "being trained by another process" in answers.get(timeout=30)
        process.join()
    process = context.Process(target=_second_writer, args=(tmp_path, answers))
    process.start()
    assert answers.get(timeout=30) == "locked"
    process.join()


def test_removing_leaves_nothing(store: checkpoints.Store, tmp_path: Path) -> None:
    store.save(10, state(10))
    store.remove()
    assert list(tmp_path.iterdir()) == []


def test_orphans_are_folders_no_present_run_would_use(store: checkpoints.Store, tmp_path: Path) -> None:
    store.save(10, state(10))
    assert checkpoint_folders.orphans(tmp_path, {store.digest}, "tiny") == []
    assert checkpoint_folders.orphans(tmp_path, {"other"}, "another scale") == []
    (orphan,) = checkpoint_folders.orphans(tmp_path, {"other"}, "tiny")
    assert (orphan.folder, orphan.run) == (store.folder, SETTINGS["coordinates"])
    assert orphan.size > 100


def test_an_orphan_is_removed_unless_a_process_writes_to_it(tmp_path: Path) -> None:
    with checkpoints.Store(tmp_path, SETTINGS).locked() as store:
        store.save(10, state(10))
    (orphan,) = checkpoint_folders.orphans(tmp_path, set(), "tiny")
    context = multiprocessing.get_context("fork")
    ready, done = context.Event(), context.Event()
    process = context.Process(target=_hold, args=(tmp_path, ready, done))
    process.start()
    assert ready.wait(30)
    with pytest.raises(EnvironmentProblemError, match="being trained by another process"):
        checkpoint_folders.remove(orphan)
    assert orphan.folder.exists()
    done.set()
    process.join()
    checkpoint_folders.remove(orphan)
    assert list(tmp_path.iterdir()) == []


def _hold(root: Path, ready: multiprocessing.synchronize.Event, done: multiprocessing.synchronize.Event) -> None:
    with checkpoints.Store(root, SETTINGS).locked():
        ready.set()
        done.wait(30)


def test_a_checkpoint_holds_the_state_as_it_was_when_it_was_saved(store: checkpoints.Store) -> None:
    training = {"model": torch.nn.Linear(2, 2).state_dict(), "rows": [{"step": 1}], "weights": torch.ones(3)}
    before = training["model"]["weight"].clone()
    may_write = threading.Event()
    saving = store.save
    store.save = lambda *given: (may_write.wait(30), saving(*given))  # type: ignore[assignment,method-assign]
    with checkpoints.Writer(store) as writer:
        writer.save(10, training)
        assert files(store) == [], "training does not wait for the disk"
        training["model"]["weight"].zero_()
        training["weights"].zero_()
        training["rows"].append({"step": 2})
        may_write.set()
    _, loaded = store.load() or (0, {})
    assert torch.equal(loaded["model"]["weight"], before)
    assert torch.equal(loaded["weights"], torch.ones(3)) and loaded["rows"] == [{"step": 1}]
    assert loaded["model"]._metadata == training["model"]._metadata


def test_tensors_that_share_memory_are_written_once() -> None:
    tokens = torch.zeros(1000)
    kept = checkpoints.copied({"model": {"tokens": tokens, "head": tokens.detach(), "other": torch.zeros(1000)}})[
        "model"
    ]
    assert kept["tokens"] is kept["head"]
    assert len({tensor.data_ptr() for tensor in (*kept.values(), tokens)}) == 3


@pytest.mark.parametrize("moment", ["step", "save", "wait", "end"])
def test_what_fails_while_a_checkpoint_is_written_is_raised_in_the_training(
    moment: str, store: checkpoints.Store
) -> None:
    store.save(10, state(10))
    failed = threading.Event()

    def full(*_: Any) -> None:
        failed.set()
        raise EnvironmentProblemError("no room for a checkpoint")

    store.save = full  # type: ignore[method-assign]
    with pytest.raises(EnvironmentProblemError, match="no room"), checkpoints.Writer(store) as writer:
        writer.save(20, state(20))
        assert failed.wait(30)
        while moment == "step":
            writer.raise_failure()
        if moment == "save":
            writer.save(30, state(30))
        if moment == "wait":
            writer.wait()
    assert (store.load() or (0,))[0] == 10


def test_another_error_is_not_hidden_by_that_of_a_checkpoint(
    store: checkpoints.Store, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ZeroDivisionError), checkpoints.Writer(store) as writer:
        writer.save(10, {"code": print, "weights": lambda: 0})  # cannot be pickled
        raise ZeroDivisionError
    assert "the last checkpoint was not written either" in caplog.text


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one MiB (CI runs as root)."""
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_is_a_clear_error_that_loses_nothing(small_disk: Path) -> None:
    with checkpoints.Store(small_disk, SETTINGS).locked() as store:
        store.save(10, state(10))
        with pytest.raises(EnvironmentProblemError, match="no room for a checkpoint"):
            store.save(20, {"weights": torch.zeros(1_000_000)})
        assert files(store) == ["step-00000010.checkpoint"]
        assert [file.name for file in store.folder.iterdir() if file.name.endswith(".part")] == []
        assert (store.load() or (0,))[0] == 10
        store.save(30, state(30))
        assert (store.load() or (0,))[0] == 30
