"""The process of a study: imports torch and transformers once, forks a child per training, ends with the study.

    python -m warmup.training.warm.server STUDY STEM

STUDY: process number of Snakemake; STEM: beginning of the paths of `address.Address`. The command returns as soon as
orders are taken, and leaves the process behind. It trains nothing, and starts no thread and no OpenMP region: a child
of a process that did could hang. A child dies with this process, and is killed when its client is gone.
"""

from __future__ import annotations

import ctypes
import fcntl
import gc
import importlib
import logging
import os
import selectors
import signal
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from warmup.training.order import Order, carry_out
from warmup.training.warm import address, messages, surroundings
from warmup.training.warm.address import Address

if TYPE_CHECKING:
    from warmup.settings import RunSettings

IDLE_SECONDS = 60.0
"""A process without a training ends after this time."""

ORDER_SECONDS = 30.0
"""A client that connects says what it wants within this time."""

PR_SET_PDEATHSIG = 1
KNOWS_OF_FORKS = ("jemalloc_bg_thd",)
"""Threads of libraries that stop before a fork and start again in the child."""


def main(study: int, stem: Path) -> None:
    """Take the place of the study's process, if it is free, and serve until the study ends."""
    place = Address(study, stem)
    watched = os.pidfd_open(study)
    address.sweep(stem.parent)
    lock = place.lock.open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return  # another client was faster
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    hidden = place.socket.with_suffix(".new")
    hidden.unlink(missing_ok=True)
    listener.bind(str(hidden))
    listener.listen(64)
    hidden.rename(place.socket)  # there only when it is listened to
    if os.fork():
        os._exit(0)
    os.chdir("/")
    log = os.open(place.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    import_libraries()
    Server(place, listener, lock.fileno(), watched).serve()


def import_libraries() -> None:
    """Import what every training needs, and keep Python's garbage collector from writing to it."""
    gc.disable()
    importlib.import_module("warmup.training.loop")
    gc.freeze()


def import_for(settings: RunSettings) -> None:
    """Import what trainings like this one need besides: kernels, and numba's own tables, a quarter of a second."""
    from warmup import registry
    from warmup.architectures import families

    names = families.family(settings["architecture"]["model_type"]).KERNELS
    loaded = [name for name in names if f"warmup.kernels.{name}" not in sys.modules]
    for name in loaded:
        registry.load("kernels", name)
    if loaded and "numba" in sys.modules:
        from numba.core.registry import cpu_target

        cpu_target.typing_context.refresh()
        cpu_target.target_context.refresh()
        gc.freeze()


@dataclass
class Child:
    """A training under way: its process, the file that tells its end, and the connection to its client."""

    process: int
    ended: int
    client: socket.socket


class Server:
    """Forks children for clients until the study has ended, or nothing was asked for a while."""

    def __init__(self, place: Address, listener: socket.socket, lock: int, watched: int) -> None:
        self.place, self.listener, self.lock, self.watched = place, listener, lock, watched
        self.children: list[Child] = []
        self.study_ended = False
        self.selector = selectors.DefaultSelector()
        self.selector.register(listener, selectors.EVENT_READ, self._accept)
        self.selector.register(watched, selectors.EVENT_READ, self._end_of_study)

    def serve(self) -> None:
        """Work until there is nothing to wait for any more."""
        while self.children or not self.study_ended:
            events = self.selector.select(None if self.children else IDLE_SECONDS)
            if not events:
                break
            # ends of children and clients first: a retry finds the lock of its run free
            for key, _ in sorted(events, key=lambda event: event[0].fileobj is self.listener):
                key.data()
        self.place.socket.unlink(missing_ok=True)  # from here on clients start another process
        self.listener.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                self._accept()
        os.close(self.lock)
        while self.children:
            for key, _ in self.selector.select():
                key.data()
        for file in (self.place.log, self.place.lock):
            file.unlink(missing_ok=True)

    def _end_of_study(self) -> None:
        """Snakemake has ended; clients it left behind are served to their end."""
        self.study_ended = True
        self.selector.unregister(self.watched)

    def _accept(self) -> None:
        """Take an order and fork a child for it."""
        client, _ = self.listener.accept()
        client.settimeout(ORDER_SECONDS)
        files: list[int] = []
        try:
            if not messages.peer_is_own(client):
                raise ValueError("a client of another user")
            message, files = messages.receive(client, files=3)
            client.settimeout(None)
            self._fork(client, message, files)
        except (EOFError, OSError, ValueError) as error:
            logging.warning("no order: %r", error)
            client.close()
        finally:
            for file in files:
                os.close(file)

    def _fork(self, client: socket.socket, message: dict[str, Any], files: list[int]) -> None:
        try:
            import_for(message["order"]["settings"])
        except Exception:  # the child meets it again, and tells its client
            logging.exception("not imported ahead:")
        refuse_threads()
        server = os.getpid()
        process = os.fork()
        if process == 0:
            self._be_child(server, client, message, files)
        child = Child(process, os.pidfd_open(process), client)
        self.children.append(child)
        self.selector.register(child.ended, selectors.EVENT_READ, lambda: self._report(child))
        self.selector.register(client, selectors.EVENT_READ, lambda: self._hear(child))

    def _hear(self, child: Child) -> None:
        """Pass a client's signals on to its child; a client that is gone takes its child with it."""
        try:
            signals = child.client.recv(64)
        except OSError:
            signals = b""
        for number in signals:
            os.kill(child.process, number)
        if not signals and child in self.children:
            with suppress(ProcessLookupError):
                os.killpg(child.process, signal.SIGKILL)
            os.kill(child.process, signal.SIGKILL)  # before it had a session of its own
            self._report(child)

    def _report(self, child: Child) -> None:
        """Tell a client how its child ended."""
        if child not in self.children:
            return
        _, status = os.waitpid(child.process, 0)
        self.children.remove(child)
        self.selector.unregister(child.ended)
        self.selector.unregister(child.client)
        os.close(child.ended)
        with suppress(OSError):
            messages.send(child.client, {"status": os.waitstatus_to_exitcode(status)})
        child.client.close()

    def _be_child(self, server: int, client: socket.socket, message: dict[str, Any], files: list[int]) -> NoReturn:
        """Train as the order says and end this process, which is a child of the server, with its exit status."""
        status = 1
        try:
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL))
            if os.getppid() != server:
                os._exit(1)  # the server ended in between
            os.setsid()
            for number, file in enumerate(files):
                os.dup2(file, number)
            self._let_go(files)
            status = _trained(client, message)
        except BaseException:
            logging.exception("a training could not be begun:")
        finally:
            logging.shutdown()
            for stream in (sys.stdout, sys.stderr):
                with suppress(OSError, ValueError):
                    stream.flush()
            os._exit(status)

    def _let_go(self, files: list[int]) -> None:
        """Close what belongs to the server and to its other children: nothing of it may outlive them here."""
        self.selector.close()
        self.listener.close()
        for child in self.children:
            child.client.close()
            os.close(child.ended)
        for file in (self.lock, self.watched, *files):
            os.close(file)


def _trained(client: socket.socket, message: dict[str, Any]) -> int:
    """Exit status of the training that the message orders, as a process of its own would have it."""
    from warmup.job import reported

    surroundings.put_on(message["surroundings"])
    messages.send(client, {"started": os.getpid()})
    gc.enable()
    try:
        with reported(Path(message["log"])):
            carry_out(Order(**message["order"]), "warm")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return 0


def refuse_threads() -> None:
    """Raise RuntimeError if this process has a thread that a child would miss: it might hold a lock for ever."""
    tasks = Path("/proc/self/task")
    names = [Path(task, "comm").read_text().strip() for task in tasks.iterdir() if task.name != str(os.getpid())]
    strange = [name for name in names if name not in KNOWS_OF_FORKS]
    if strange:
        raise RuntimeError(f"threads that do not survive a fork: {', '.join(strange)}")


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
