"""JSON over a unix socket, open files beside it: what a client and the process of its study say to each other.

An order goes one way with three open files (standard input, output, error); then the client sends one byte per signal
that it is given, and gets back `{"started": process number}` and `{"status": exit status}`. An end of the stream says
that the other side is gone.
"""

import array
import json
import os
import socket
import struct
from collections.abc import Mapping, Sequence
from typing import Any

LENGTH = struct.Struct("!Q")
LARGEST = 1 << 26
"""Bytes of a message; a larger one is no message of ours."""


def send(connection: socket.socket, message: Mapping[str, Any], files: Sequence[int] = ()) -> None:
    """Send a message, and descriptors of open files with it."""
    content = json.dumps(message, allow_nan=False).encode()
    ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files))] if files else []
    header = LENGTH.pack(len(content))
    sent = connection.sendmsg([header], ancillary)
    connection.sendall(header[sent:] + content)


def receive(connection: socket.socket, files: int = 0) -> tuple[dict[str, Any], list[int]]:
    """The next message and the descriptors sent with it, at most `files`. Raises EOFError if the other side is gone."""
    header, descriptors = b"", []
    while len(header) < LENGTH.size:
        size = array.array("i", [0] * files)
        part, ancillary, _flags, _address = connection.recvmsg(
            LENGTH.size - len(header), socket.CMSG_SPACE(len(size) * size.itemsize) if files else 0
        )
        for level, kind, data in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                numbers = array.array("i")
                numbers.frombytes(data[: len(data) - len(data) % numbers.itemsize])
                descriptors += list(numbers)
        header += _some(part)
    (length,) = LENGTH.unpack(header)
    if length > LARGEST:
        raise ValueError(f"a message of {length} bytes is none of ours")
    content = bytearray()
    while len(content) < length:
        content += _some(connection.recv(min(1 << 20, length - len(content))))
    message: dict[str, Any] = json.loads(content)
    return message, descriptors


def peer_is_own(connection: socket.socket) -> bool:
    """Whether the process at the other end belongs to this user."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _process, user, _group = struct.unpack("3i", credentials)
    return bool(user == os.getuid())


def _some(part: bytes) -> bytes:
    if not part:
        raise EOFError
    return part
