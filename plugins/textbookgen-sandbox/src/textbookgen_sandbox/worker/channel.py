"""Messages between the host and the worker: a length, JSON, and open files, over a Unix socket.

JSON is used because parsing it executes nothing: the worker's replies quote what a hostile program wrote.
"""

from __future__ import annotations

import json
import socket
import struct
import time
from collections.abc import Sequence
from typing import Any

MAX_MESSAGE = 1 << 26  # bytes
_MAX_PIECE = 1 << 20


def receive(channel: socket.socket, seconds: float | None = None) -> tuple[Any, list[int]]:
    """Receive one message, in however many pieces it arrives.

    Args:
        channel: the socket.
        seconds: within which the whole message must arrive, if it has to.

    Returns:
        The message and the file descriptors sent with it. The message is None if the other side closed the channel.

    Raises:
        TimeoutError: it did not arrive in time.
        OSError: the connection broke.
    """
    deadline = None if seconds is None else time.monotonic() + seconds
    header, files = bytearray(), []
    while len(header) < 4:
        _set_timeout(channel, deadline)
        piece, more, _, _ = socket.recv_fds(channel, 4 - len(header), 1)
        files += more
        if not piece:
            return None, files
        header += piece
    (length,) = struct.unpack("<I", header)
    if length > MAX_MESSAGE:
        return None, files
    body = bytearray()
    while len(body) < length:
        _set_timeout(channel, deadline)
        piece = channel.recv(min(length - len(body), _MAX_PIECE))
        if not piece:
            return None, files
        body += piece
    return json.loads(body), files


def _set_timeout(channel: socket.socket, deadline: float | None) -> None:
    channel.settimeout(None if deadline is None else max(deadline - time.monotonic(), 0.001))


def send(channel: socket.socket, message: Any, files: Sequence[int] = ()) -> None:
    """Send a message: its length in four bytes (with the files attached), then JSON."""
    body = json.dumps(message).encode()
    socket.send_fds(channel, [struct.pack("<I", len(body))], files)
    channel.sendall(body)
