"""Remote procedure calls between a program and its tests: one end of a socket, requests and replies as JSON.

The messages of a hostile program are bounded in size and parsed as JSON, which executes nothing; anything malformed ends the
connection.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Callable
from typing import Any

_MAX_MESSAGE = 1 << 24  # bytes
Message = dict[str, Any]


class ConnectionLost(BaseException):
    """The other end closed the connection or sent something malformed; not an `Exception`, so that tests do not catch it."""


class Connection:
    """Requests and replies over a socket, one at a time; a request may arrive while a reply is awaited (a callback)."""

    def __init__(self, fd: int, answer: Callable[[Message], Message]) -> None:
        self._channel = socket.socket(fileno=fd)
        self._answer = answer
        self.lost = False  # stays true even if the caller swallows ConnectionLost

    def request(self, message: Message) -> Message:
        """Send a request and return the reply; requests from the other end are answered until it comes.

        Raises:
            ConnectionLost: there will be no reply.
        """
        try:
            self._send(message)
            while "do" in (reply := self._receive()):
                self._send(self._answer(reply))
        except ConnectionLost:
            self.lost = True
            raise
        return reply

    def serve(self) -> None:
        """Answer requests until the other end closes the connection."""
        while True:
            try:
                message = self._receive()
            except ConnectionLost:
                return
            self._send(self._answer(message))

    def close(self) -> None:
        """Close this end of the socket."""
        self._channel.close()

    def _send(self, message: Message) -> None:
        body = json.dumps(message).encode()
        try:
            self._channel.sendall(struct.pack("<I", len(body)) + body)
        except OSError as error:
            raise ConnectionLost("the other process has ended") from error

    def _receive(self) -> Message:
        (length,) = struct.unpack("<I", self._receive_exactly(4))
        if length > _MAX_MESSAGE:
            raise ConnectionLost("the other process sent a message that is too long")
        try:
            message = json.loads(self._receive_exactly(length))
        except (ValueError, RecursionError) as error:
            raise ConnectionLost("the other process sent a malformed message") from error
        if not isinstance(message, dict):
            raise ConnectionLost("the other process sent a malformed message")
        return message

    def _receive_exactly(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            try:
                more = self._channel.recv(min(count - len(data), 1 << 20))
            except OSError as error:
                raise ConnectionLost("the other process has ended") from error
            if not more:
                raise ConnectionLost("the other process has ended")
            data += more
        return bytes(data)
