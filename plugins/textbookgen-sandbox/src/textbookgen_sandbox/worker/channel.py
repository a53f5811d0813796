"""Messages between the host and the worker: a length, JSON, and open files, over a Unix socket.

JSON is used because parsing it executes nothing: the worker's replies quote what a hostile program wrote.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Sequence
from typing import Any

_MAX_MESSAGE = 1 << 26  # bytes


def receive(channel: socket.socket) -> tuple[Any, list[int]]:
    """Receive one message.

    Returns:
        The message and the file descriptors sent with it. The message is None if the other side closed the channel.
    """
    header, files, _, _ = socket.recv_fds(channel, 4, 1, socket.MSG_WAITALL)
    if len(header) < 4:
        return None, files
    (length,) = struct.unpack("<I", header)
    if length > _MAX_MESSAGE:
        return None, files
    body = channel.recv(length, socket.MSG_WAITALL) if length else b""
    return (json.loads(body) if len(body) == length else None), files


def send(channel: socket.socket, message: Any, files: Sequence[int] = ()) -> None:
    """Send a message: its length in four bytes (with the files attached), then JSON."""
    body = json.dumps(message).encode()
    socket.send_fds(channel, [struct.pack("<I", len(body))], files)
    channel.sendall(body)
