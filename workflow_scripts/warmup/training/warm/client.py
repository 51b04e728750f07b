"""How a training starts: in a child of the study's warm process, or cold, in a process that imports everything itself.

Both give the same bits. Cold is what always works: whatever stops a warm start is said, and the training starts cold.
"""

import logging
import os
import platform
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

from warmup.errors import EnvironmentProblemError
from warmup.provenance import code_state
from warmup.training.order import Order, carry_out
from warmup.training.warm import address, messages, surroundings
from warmup.training.warm.address import Address

FORWARDED = (signal.SIGTERM, signal.SIGINT)

logger = logging.getLogger("warmup")


class GoneError(Exception):
    """The process of the study ended, or could not be started, though nobody asked it to; the message says how."""


def train(order: Order, start: str, log: Path) -> None:
    """Carry out an order, messages going to the end of the file `log`; `start` is "warm" or "cold".

    Exits with the training's own status where that is not 0.
    """
    reason = "training.start is cold" if start == "cold" else why_cold(order)
    status = None if reason else _warm(order, log)
    if status is None:
        logger.info("cold start%s", f": {reason}" if reason else "")
        carry_out(order, "cold")
    elif status:
        sys.exit(status)


def why_cold(order: Order) -> str | None:
    """Why this training has to start cold; None if it need not."""
    if platform.system() != "Linux":
        return f"warm starts need Linux, this is {platform.system()}"
    if order.settings["training"]["device"] != "cpu":
        return "a process that uses a GPU cannot be forked"
    if "SLURM_JOB_ID" in os.environ:
        return "a SLURM job ends with all its processes"
    return None


def _warm(order: Order, log: Path) -> int | None:
    """Exit status of the training in a child of the study's process; None if it has to start cold."""
    try:
        place = address.find()
    except EnvironmentProblemError as error:
        logger.info("no warm start: %s", error)
        return None
    if place.gone.exists():
        return None
    try:
        status = _ordered(order, log, place)
    except GoneError as end:
        if _first_to_say(place):
            logger.warning(
                "the process that starts trainings is gone (%s): trainings start cold from here on, with the same "
                "results, each some seconds later; the next start of Snakemake tries again",
                end,
            )
        return None
    if status < 0:
        logger.error("the training was ended by %s", signal.Signals(-status).name)
    return status if status >= 0 else 128 - status


def _ordered(order: Order, log: Path, place: Address) -> int:
    """Exit status of the training, negative if a signal ended it. Raises GoneError."""
    for _attempt in range(2):  # an idle process may end just as an order comes
        with _connected(place) as connection:
            accepted = False
            received: list[int] = []
            try:
                message = {"order": asdict(order), "log": str(log), "surroundings": surroundings.take()}
                messages.send(connection, message, [0, 1, 2])
                with _signals_to(connection) as received:
                    while True:
                        answer, _ = messages.receive(connection)
                        if "status" in answer:
                            return int(answer["status"])
                        accepted = True
            except (EOFError, ConnectionError):
                if received:
                    sys.exit(128 + received[-1])
                if accepted:
                    break
    raise GoneError(f"it ended; its last words are in {place.log}")


@contextmanager
def _connected(place: Address) -> Iterator[socket.socket]:
    """A connection to the process of the study, which is started if there is none. Raises GoneError."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        for _attempt in range(5):
            try:
                connection.connect(str(place.socket))
            except FileNotFoundError:
                _start(place)
            except ConnectionRefusedError as error:  # a socket that nobody listens to
                raise GoneError(f"it was killed; its last words are in {place.log}") from error
            else:
                break
        else:
            raise GoneError(f"no process could be started; its last words are in {place.log}")
        if not messages.peer_is_own(connection):
            raise GoneError(f"{place.socket} belongs to another user")
        yield connection


def _start(place: Address) -> None:
    """Start the process of the study; its socket is there when this returns. Raises GoneError."""
    command = [sys.executable, "-m", "warmup.training.warm.server", str(place.study), str(place.stem)]
    paths = [str(code_state.ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    done = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,
    )
    if done.returncode != 0:
        raise GoneError(f"it cannot start: {(done.stderr or 'no words').strip().splitlines()[-1]}")


@contextmanager
def _signals_to(connection: socket.socket) -> Iterator[list[int]]:
    """While open, SIGTERM and SIGINT are passed on to the training instead of ending this process; those received."""
    received: list[int] = []

    def forward(number: int, _frame: object) -> None:
        received.append(number)
        with suppress(ConnectionError):  # told by the end of the stream
            connection.sendall(bytes([number]))

    before = {number: signal.signal(number, forward) for number in FORWARDED}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _first_to_say(place: Address) -> bool:
    """Whether no other job of the study has said yet that its process is gone."""
    try:
        place.gone.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True
