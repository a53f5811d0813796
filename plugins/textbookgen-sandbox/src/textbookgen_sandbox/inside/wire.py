"""One end of the wire between a program and its tests: asks the other end, and answers it meanwhile."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Callable
from typing import Any

_LARGEST = 1 << 24
Message = dict[str, Any]


class Gone(BaseException):
    """The other end hung up, or spoke no sense: nothing that tests should catch."""


class Wire:
    """Requests and replies over a socket, one at a time; a request may come while a reply is awaited (a callback)."""

    def __init__(self, fd: int, answer: Callable[[Message], Message]) -> None:
        self._channel = socket.socket(fileno=fd)
        self._answer = answer
        self.lost = False  # for good, whatever those who asked make of Gone

    def ask(self, request: Message) -> Message:
        """The other end's reply; requests of its own are answered until it comes."""
        try:
            self._send(request)
            while "do" in (message := self._receive()):
                self._send(self._answer(message))
        except Gone:
            self.lost = True
            raise
        return message

    def serve(self) -> None:
        """Answers requests until the other end hangs up."""
        while True:
            try:
                message = self._receive()
            except Gone:
                return
            self._send(self._answer(message))

    def _send(self, message: Message) -> None:
        body = json.dumps(message).encode()
        try:
            self._channel.sendall(struct.pack("<I", len(body)) + body)
        except OSError as error:
            raise Gone("the other process is gone") from error

    def _receive(self) -> Message:
        (length,) = struct.unpack("<I", self._exactly(4))
        if length > _LARGEST:
            raise Gone("the other process said too much")
        try:
            message = json.loads(self._exactly(length))
        except (ValueError, RecursionError) as error:
            raise Gone("the other process spoke no sense") from error
        if not isinstance(message, dict):
            raise Gone("the other process spoke no sense")
        return message

    def _exactly(self, count: int) -> bytes:
        heard = bytearray()
        while len(heard) < count:
            try:
                more = self._channel.recv(min(count - len(heard), 1 << 20))
            except OSError as error:
                raise Gone("the other process is gone") from error
            if not more:
                raise Gone("the other process is gone")
            heard += more
        return bytes(heard)
