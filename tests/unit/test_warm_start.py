"""Warm starts: the process of a study, its children, their clients, and what becomes of each when another one ends."""

import json
import logging
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from warmup.config import grid
from warmup.errors import EnvironmentProblemError
from warmup.provenance import code_state
from warmup.training import checkpoint_folders
from warmup.training.order import Order
from warmup.training.warm import address, client, messages, server, surroundings

CLIENT = """
import json, sys
from pathlib import Path
from warmup.job import reported
from warmup.training.order import Order
from warmup.training.warm import client
log = Path(sys.argv[2])
with reported(log):
    client.train(Order(**json.loads(Path(sys.argv[1]).read_text())), sys.argv[3], log)
assert sys.argv[3] == "cold" or not {"torch", "transformers", "numpy"} & set(sys.modules) or "cold" in log.read_text()
"""
"""What the script of rule train does; a warm client stays light."""

pytestmark = pytest.mark.xdist_group("warm starts")


class Study:
    """A process that stands for Snakemake, a private folder, and trainings that belong to both."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.snakemake = subprocess.Popen(["sleep", "3600"])
        self.environment = {
            **os.environ,
            address.STUDY: str(self.snakemake.pid),
            "TMPDIR": str(folder),
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(code_state.ROOT),
        }

    @property
    def private(self) -> Path:
        return self.folder / f"warmup-sweep-{os.getuid()}-private"

    def client(self, order: Order, work: Path, start: str = "warm", **options: Any) -> "subprocess.Popen[str]":
        """A client that has just begun; its log is `work`/log."""
        work.mkdir(exist_ok=True)
        (work / "order.json").write_text(json.dumps(asdict(order)))
        command = [sys.executable, "-c", CLIENT, str(work / "order.json"), str(work / "log"), start]
        options = {"env": self.environment, "stderr": subprocess.PIPE, "text": True, **options}
        return subprocess.Popen(command, **options)

    def servers(self) -> list[int]:
        """Process numbers of this study's warm process and its children."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                try:
                    words = (entry / "cmdline").read_bytes().split(b"\0")[:-1]
                except OSError:
                    continue
                if words[-2:-1] == [str(self.snakemake.pid).encode()]:
                    found.append(int(entry.name))
        return sorted(found)

    def parent(self) -> int:
        """The warm process itself."""
        found = self.servers()
        (process,) = (number for number in found if parent_of(number) not in found)
        return process

    def end(self) -> None:
        self.snakemake.kill()
        self.snakemake.wait()
        eventually(lambda: not self.servers())


def parent_of(process: int) -> int:
    try:
        return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:  # it has ended
        return 0


def eventually(condition: Callable[[], object], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def short_folder() -> Iterator[Path]:
    """A temporary folder whose path leaves room for a socket's name."""
    with TemporaryDirectory(dir="/tmp", prefix="w") as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def shared(short_folder: Path) -> Iterator[Study]:
    """A study for tests that leave its process alive: libraries are imported once for all of them."""
    study = Study(short_folder / "shared")
    study.folder.mkdir()
    yield study
    study.end()
    assert list(study.private.iterdir()) == [], "files of an ended study were left behind"


@pytest.fixture
def own(short_folder: Path, request: pytest.FixtureRequest) -> Iterator[Study]:
    """A study for a test that ends its process."""
    folder = short_folder / f"{abs(hash(request.node.name)):x}"
    folder.mkdir()
    study = Study(folder)
    yield study
    study.end()


@pytest.fixture
def order_in(run_settings: Callable[..., dict[str, Any]], prepared: Path) -> Callable[..., Order]:
    """Function (folder, architecture, **changes of the configuration) -> order of a small training on text there."""

    def order(folder: Path, architecture: str = "gpt2", checkpoint_steps: int | None = None, **changes: Any) -> Order:
        settings = run_settings(architecture, **changes)
        data, run, checkpoints = prepared / "language", folder / "run", folder / "checkpoints"
        return Order(settings, str(data), str(run), str(checkpoints), 10.0, checkpoint_steps, 10.0)

    return order


def assert_same_run(one: Path, other: Path) -> None:
    for name in grid.RUN_FILES:
        if name != "resources.json":
            assert (one / "run" / name).read_bytes() == (other / "run" / name).read_bytes(), name


def how_it_started(work: Path) -> str:
    return str(json.loads((work / "run" / "resources.json").read_text())["start"])


# The same results -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("architecture", ["gpt2", "mamba", "jamba", "rwkv"])
def test_warm_and_cold_starts_give_the_same_bytes(
    architecture: str, shared: Study, order_in: Callable[..., Order], tmp_path: Path
) -> None:
    clients = [
        shared.client(order_in(tmp_path / start, architecture), tmp_path / start, start) for start in ("warm", "cold")
    ]
    for process in clients:
        _, errors = process.communicate()
        assert process.returncode == 0, errors
    assert (how_it_started(tmp_path / "warm"), how_it_started(tmp_path / "cold")) == ("warm", "cold")
    assert_same_run(tmp_path / "warm", tmp_path / "cold")


def test_trainings_side_by_side_share_one_process(own: Study, order_in: Callable[..., Order], tmp_path: Path) -> None:
    clients = [own.client(order_in(tmp_path / name), tmp_path / name) for name in ("a", "b", "c")]
    assert [process.wait() for process in clients] == [0, 0, 0]
    assert [how_it_started(tmp_path / name) for name in ("a", "b", "c")] == ["warm"] * 3
    assert own.servers() == [own.parent()]


def test_the_process_of_a_study_runs_no_torch_operation_and_starts_no_thread() -> None:
    program = """
import gc, os, sys
from warmup.training.warm import server
import torch
from torch.utils._python_dispatch import TorchDispatchMode
class Refused(TorchDispatchMode):
    def __torch_dispatch__(self, operation, types, arguments=(), options=None):
        raise AssertionError(f"{operation} before a fork")
with Refused():
    server.import_libraries()
    for model_type in ("gpt2", "mamba", "jamba", "rwkv"):
        server.import_for({"architecture": {"model_type": model_type}})
server.refuse_threads()
assert {"numba", "warmup.kernels.wkv"} <= set(sys.modules)
assert not {"polars", "pandas"} & set(sys.modules)
"""
    environment = {
        **os.environ,
        "PYTHONPATH": str(code_state.ROOT),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_thread_that_a_child_would_miss_is_refused() -> None:
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    try:
        with pytest.raises(RuntimeError, match="threads that do not survive a fork"):
            server.refuse_threads()
    finally:
        stop.set()
        thread.join()


# A job stays a job ----------------------------------------------------------------------------------------------------


def test_a_users_mistake_is_told_in_the_jobs_log_and_by_its_exit_status(
    shared: Study, order_in: Callable[..., Order], tmp_path: Path
) -> None:
    order = order_in(tmp_path)
    with checkpoint_folders.lock(Path(order.checkpoints) / checkpoint_folders.digest(order.settings)):
        process = shared.client(order, tmp_path)
        _, errors = process.communicate()
    assert process.returncode == 1
    text = (tmp_path / "log").read_text()
    assert "error: this run is being trained by another process" in text and "Traceback" not in text
    assert text in errors


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_reaches_the_training_which_writes_a_checkpoint(
    number: signal.Signals, shared: Study, order_in: Callable[..., Order], tmp_path: Path
) -> None:
    process = shared.client(order_in(tmp_path, training={"steps": 100_000}, checkpoint_steps=1), tmp_path)
    eventually(lambda: list((tmp_path / "checkpoints").glob("*/step-*.checkpoint")))
    process.send_signal(number)
    assert process.wait() == 128 + number
    assert "checkpoint written after step" in (tmp_path / "log").read_text()
    eventually(lambda: shared.servers() == [shared.parent()])


def test_a_child_takes_over_what_its_client_has(tmp_path: Path) -> None:
    worn = "import json, sys; from warmup.training.warm import surroundings; "
    environment = {**os.environ, "PYTHONPATH": str(code_state.ROOT)}
    client_of = f"cd {tmp_path} && umask 027 && ulimit -Sn 99 && MINE=yes exec {sys.executable} -c"
    taken = subprocess.run(
        ["bash", "-c", f"{client_of} '{worn} print(json.dumps(surroundings.take()))'"],
        env=environment, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert json.loads(taken)["environment"]["MINE"] == "yes"
    child = f"{worn} surroundings.put_on(json.loads(sys.argv[1])); print(json.dumps(surroundings.take()))"
    put_on = subprocess.run(
        [sys.executable, "-c", child, taken], env=environment, capture_output=True, text=True, check=True
    ).stdout
    assert json.loads(put_on) == json.loads(taken)
    assert json.loads(put_on)["soft limits"]["RLIMIT_NOFILE"] == 99


# Ends -----------------------------------------------------------------------------------------------------------------


def test_a_client_that_is_killed_leaves_no_child_to_hold_the_lock_of_its_run(
    shared: Study, order_in: Callable[..., Order], tmp_path: Path
) -> None:
    whole, struck = tmp_path / "whole", tmp_path / "struck"
    assert shared.client(order_in(whole, checkpoint_steps=3, training={"steps": 60}), whole).wait() == 0
    order = order_in(struck, checkpoint_steps=3, training={"steps": 60})
    for _kill in range(3):
        process = shared.client(order, struck)
        eventually(lambda: "kernel" in (struck / "log").read_text() if (struck / "log").exists() else False)
        process.kill()
        process.wait()
        (struck / "log").unlink()
    process = shared.client(order, struck)
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    assert_same_run(whole, struck)


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["mamba", "jamba"])
def test_killed_at_any_moment_clients_lose_no_checkpoint_and_the_run_ends_in_the_same_bytes(
    architecture: str, shared: Study, order_in: Callable[..., Order], tmp_path: Path
) -> None:
    whole, struck = tmp_path / "whole", tmp_path / "struck"
    began = time.monotonic()
    assert shared.client(order_in(whole, architecture, 3, training={"steps": 90}), whole).wait() == 0
    seconds = time.monotonic() - began
    order, moments = order_in(struck, architecture, 3, training={"steps": 90}), random.Random(architecture)
    reached = 0
    for _kill in range(12):
        process = shared.client(order, struck)
        time.sleep(moments.uniform(0, 1.2 * seconds))
        process.kill()
        process.wait()
        steps = [int(file.stem.removeprefix("step-")) for file in struck.glob("checkpoints/*/step-*.checkpoint")]
        if (struck / "run" / "summary.json").exists() and not steps:  # it had finished: strike a new run
            assert_same_run(whole, struck)
            (struck / "run" / "summary.json").unlink()
            reached = 0
        else:
            assert max(steps, default=0) >= reached, "a kill lost a checkpoint"
            reached = max(steps, default=0)
    process = shared.client(order, struck)
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    assert_same_run(whole, struck)


def test_without_its_process_a_study_goes_on_cold_says_so_once_and_ends_in_the_same_bytes(
    own: Study, order_in: Callable[..., Order], tmp_path: Path
) -> None:
    names = ("a", "b")
    clients = [
        own.client(order_in(tmp_path / name, checkpoint_steps=20, training={"steps": 400}), tmp_path / name)
        for name in names
    ]
    for name in names:
        eventually(lambda name=name: list((tmp_path / name / "checkpoints").glob("*/step-*.checkpoint")))
    os.kill(own.parent(), signal.SIGKILL)
    eventually(lambda: not own.servers())
    said = [process.communicate()[1] for process in clients]
    assert [process.returncode for process in clients] == [0, 0], said
    assert sum("is gone" in text for text in said) == 1
    assert [how_it_started(tmp_path / name) for name in names] == ["cold", "cold"]
    assert "resumed after step" in said[0] + said[1]
    later = own.client(order_in(tmp_path / "c", training={"steps": 400}), tmp_path / "c")
    assert "is gone" not in later.communicate()[1] and later.returncode == 0
    assert own.servers() == []
    assert_same_run(tmp_path / "a", tmp_path / "c")


def test_the_process_ends_with_its_study_once_its_trainings_are_done(
    own: Study, order_in: Callable[..., Order], tmp_path: Path
) -> None:
    process = own.client(order_in(tmp_path, checkpoint_steps=20, training={"steps": 400}), tmp_path)
    eventually(lambda: list((tmp_path / "checkpoints").glob("*/step-*.checkpoint")))
    own.snakemake.kill()
    own.snakemake.wait()
    assert process.wait() == 0
    assert how_it_started(tmp_path) == "warm"
    eventually(lambda: not own.servers(), 10)
    assert list(own.private.iterdir()) == []


def test_an_idle_process_ends_and_the_next_training_starts_another(
    own: Study, order_in: Callable[..., Order], tmp_path: Path
) -> None:
    program = """
from warmup.training.warm import address, server
server.IDLE_SECONDS = 0.2
place = address.find()
server.main(place.study, place.stem)
"""
    impatient = [sys.executable, "-c", program, str(own.snakemake.pid), "impatient"]
    subprocess.run(impatient, env=own.environment, start_new_session=True, check=True)
    assert own.servers()
    eventually(lambda: not own.servers())
    assert list(own.private.iterdir()) == []
    assert own.client(order_in(tmp_path), tmp_path).wait() == 0
    assert how_it_started(tmp_path) == "warm"
    assert own.servers() == [own.parent()]


# Addresses and messages -----------------------------------------------------------------------------------------------


@pytest.fixture
def in_a_study(own: Study, monkeypatch: pytest.MonkeyPatch) -> Study:
    """This process as a job of a study."""
    monkeypatch.setenv(address.STUDY, str(own.snakemake.pid))
    monkeypatch.setattr("tempfile.tempdir", str(own.folder))
    return own


@pytest.mark.usefixtures("in_a_study")
@pytest.mark.parametrize("variable", ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "HF_HOME", "NUMBA_CACHE_DIR"])
def test_what_libraries_read_when_they_are_imported_leads_to_another_process(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = address.find()
    monkeypatch.setenv("UNRELATED", "1")
    assert address.find() == before
    monkeypatch.setenv(variable, "7")
    assert address.find() != before


@pytest.mark.usefixtures("in_a_study")
def test_changed_code_leads_to_another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    before = address.find()
    monkeypatch.setattr(code_state, "state", lambda: "another")
    assert address.find() != before


def test_sockets_lie_in_a_folder_closed_to_others(in_a_study: Study) -> None:
    place = address.find()
    assert place.socket.parent.stat().st_mode & 0o777 == 0o700
    assert len(str(place.socket)) < 108
    in_a_study.private.chmod(0o755)
    with pytest.raises(EnvironmentProblemError, match="only this user may enter"):
        address.find()


def test_a_path_too_long_for_a_socket_is_said(in_a_study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = in_a_study.folder / ("x" * 90)
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    with pytest.raises(EnvironmentProblemError, match="too long for a socket"):
        address.find()


def test_without_a_living_study_there_is_no_address(in_a_study: Study) -> None:
    in_a_study.snakemake.kill()
    in_a_study.snakemake.wait()
    with pytest.raises(EnvironmentProblemError, match="no Snakemake"):
        address.find()


def test_files_of_ended_studies_are_swept_away_and_no_others(in_a_study: Study, tmp_path: Path) -> None:
    began = address.began_at(in_a_study.snakemake.pid)
    alive, earlier = f"{in_a_study.snakemake.pid}-{began}-0a.lock", f"{in_a_study.snakemake.pid}-1-0a.lock"
    for name in (alive, earlier, "notes"):
        (tmp_path / name).touch()
    address.sweep(tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == {alive, "notes"}


def test_messages_arrive_whole_with_their_files(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    message = {"text": "ä" * 300_000, "numbers": [1, 2.5, None]}
    with ours, theirs, (tmp_path / "file").open("w") as stream:
        sender = threading.Thread(target=messages.send, args=(ours, message, [stream.fileno(), stream.fileno()]))
        sender.start()
        arrived, files = messages.receive(theirs, files=3)
        sender.join()
        assert arrived == message
        os.write(files[0], b"one ")
        os.write(files[1], b"two")
        for file in files:
            os.close(file)
        assert (tmp_path / "file").read_text() == "one two"
        ours.sendall(messages.LENGTH.pack(10) + b"half")
        ours.shutdown(socket.SHUT_WR)
        with pytest.raises(EOFError):
            messages.receive(theirs)


def test_a_process_of_another_user_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert messages.peer_is_own(ours)
        monkeypatch.setattr(os, "getuid", lambda: -1)
        assert not messages.peer_is_own(ours)


# Cold -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "environment", "system", "reason"),
    [
        ({"device": "cuda"}, {}, "Linux", "GPU"),
        ({}, {"SLURM_JOB_ID": "7"}, "Linux", "SLURM"),
        ({}, {}, "Darwin", "Darwin"),
    ],
)
def test_gpus_slurm_and_other_systems_start_cold(
    changed: dict[str, Any], environment: dict[str, str], system: str, reason: str,
    order_in: Callable[..., Order], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    assert client.why_cold(order_in(tmp_path)) is None
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("platform.system", lambda: system)
    found = client.why_cold(order_in(tmp_path, training=changed))
    assert found is not None and reason in found


def test_a_client_without_a_study_starts_cold(
    order_in: Callable[..., Order], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv(address.STUDY, raising=False)
    carried_out: list[str] = []
    monkeypatch.setattr(client, "carry_out", lambda _order, start: carried_out.append(start))
    with caplog.at_level(logging.INFO, "warmup"):
        client.train(order_in(tmp_path), "warm", tmp_path / "log")
    assert carried_out == ["cold"]
    assert "no warm start: no Snakemake is known" in caplog.text


def test_what_a_process_takes_over_says_nothing_that_json_cannot() -> None:
    taken = surroundings.take()
    assert json.loads(json.dumps(taken)) == taken
