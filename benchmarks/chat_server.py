"""A loopback server with an OpenAI-compatible chat API: canned replies after a delay, and injected faults.

    python benchmarks/chat_server.py [--seconds 0.02] [--words 120]

Prints its port and serves until its standard input closes. A prompt may select a fault, `<<KINDxTIMES@SECONDS>>`. KIND is an
HTTP status (429, 500, …), truncate, drop, half, hang, malformed, nested, empty, slow or poison (a reply with impossible token
counts). After TIMES faults the prompt is answered; without TIMES it never is. SECONDS is the `Retry-After` header. `--fault
SHARE:FAULT` injects a fault into a share of all prompts, chosen by their hashes. GET /stats returns the number of requests and
replies for each prompt. The server is plain asyncio, to leave the CPU to what is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
from collections import Counter
from hashlib import sha256

FAULT = re.compile(rb"<<(\w+?)(?:x(\d+))?(?:@([\d.]+))?>>")
KEY = re.compile(rb"^authorization: *(.*?)\r?$", re.IGNORECASE | re.MULTILINE)
POISON: tuple[dict[str, object], ...] = (
    {"prompt_tokens": 2**63, "completion_tokens": 2**70, "total_tokens": -1},
    {"prompt_tokens": -5, "completion_tokens": -(10**9)},
    {"prompt_tokens": float("nan"), "completion_tokens": float("inf")},
    {"prompt_tokens": "many", "completion_tokens": [1]},
)
WORDS = ("once", "upon", "a", "time", "a", "small", "fox", "found", "a", "quiet", "path", "under", "the", "tall", "trees")


class Chat:
    """The server's options and statistics."""

    def __init__(self, seconds: float, words: int, always: list[str] | None, faults: list[str]) -> None:
        self.always = always
        self.faults = [(float(share), f"<<{fault}>>".encode()) for share, _, fault in (item.partition(":") for item in faults)]
        self.keys: set[str] = set()
        self.seconds = seconds
        self.text = " ".join(WORDS[n % len(WORDS)] for n in range(words))
        self.requests: Counter[str] = Counter()
        self.replies: Counter[str] = Counter()
        self.in_flight = self.max_in_flight = 0

    def fault(self, prompt: str, body: bytes) -> re.Match[bytes] | None:
        """Return the fault to inject for this prompt."""
        position = int(sha256(f"trouble {prompt}".encode()).hexdigest()[:8], 16) / 2**32
        for share, fault in self.faults:
            if position < share:
                return FAULT.fullmatch(fault)
            position -= share
        return FAULT.search(body)

    def stats(self) -> dict[str, object]:
        return {
            "requests": self.requests,
            "replies": self.replies,
            "max_in_flight": self.max_in_flight,
            "keys": sorted(self.keys),
        }


class Connection(asyncio.Protocol):
    """One connection, with one request at a time, as HTTP clients with a connection pool send them."""

    def __init__(self, chat: Chat) -> None:
        self.chat = chat
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, blank, rest = self.buffer.partition(b"\r\n\r\n")
        if not blank:
            return
        length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
        size = int(length.group(1)) if length else 0
        if len(rest) >= size:
            self.buffer = rest[size:]
            self.serve(head, rest[:size])

    def serve(self, head: bytes, body: bytes) -> None:
        if head.startswith(b"GET"):
            self.send(200, json.dumps(self.chat.stats()).encode())
            return
        request = json.loads(body)
        prompt = request["messages"][-1]["content"]
        chat = self.chat
        key = KEY.search(head)
        if key:
            chat.keys.add(key.group(1).decode())
        chat.requests[prompt] += 1
        chat.in_flight += 1
        chat.max_in_flight = max(chat.max_in_flight, chat.in_flight)
        asyncio.get_running_loop().call_later(chat.seconds, self.answer, request, prompt, chat.fault(prompt, body))

    def answer(self, request: dict, prompt: str, fault: re.Match[bytes] | None) -> None:
        self.chat.in_flight -= 1
        if self.transport.is_closing():
            return
        if self.chat.always:
            self.send(int(self.chat.always[0]), self.chat.always[1].encode())
            return
        if fault and fault.group(1) == b"poison":
            self.reply(request, prompt, usage=POISON[self.chat.requests[prompt] % len(POISON)])
        elif fault and self.chat.requests[prompt] <= int(fault.group(2) or 10**9):
            self.fail(fault.group(1).decode(), (fault.group(3) or b"").decode(), request, prompt)
        else:
            self.reply(request, prompt)

    def fail(self, kind: str, seconds: str, request: dict, prompt: str) -> None:
        if kind.isdigit():
            wait = f"Retry-After: {seconds}\r\n" if seconds else ""
            self.send(int(kind), b'{"error": {"message": "injected fault", "code": null}}', wait)
        elif kind == "truncate":
            self.reply(request, prompt, finish="length")
        elif kind == "drop":
            self.transport.close()
        elif kind == "half":
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")
            self.transport.close()
        elif kind == "malformed":
            self.send(200, b'{"choices": [{"mess')
        elif kind == "nested":
            self.send(200, b'{"choices": ' + b"[" * 5000 + b"]" * 5000 + b"}")
        elif kind == "slow":
            asyncio.get_running_loop().call_later(0.3, self.reply, request, prompt)
        elif kind == "empty":
            self.send(200, b'{"choices": [], "usage": {"prompt_tokens": 3}}')
        elif kind != "hang":
            self.send(400, f'{{"error": {{"message": "unknown fault: {kind}"}}}}'.encode())

    def reply(self, request: dict, prompt: str, finish: str = "stop", usage: dict | None = None) -> None:
        text = f"{sha256(prompt.encode()).hexdigest()[:12]} {self.chat.text}"
        words = text.count(" ") + 1
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "finish_reason": finish}
        usage = usage or {
            "prompt_tokens": len(prompt) // 4 + 1,
            "completion_tokens": words,
            "total_tokens": len(prompt) // 4 + 1 + words,
        }
        header = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": request["model"]}
        self.chat.replies[prompt] += 1
        self.send(200, json.dumps({**header, "choices": [choice], "usage": usage}).encode())

    def send(self, status: int, body: bytes, headers: str = "") -> None:
        head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
        self.transport.write(head.encode() + body)


async def serve(chat: Chat, port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(chat), "127.0.0.1", port, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=0.02, help="delay of each reply")
    parser.add_argument("--words", type=int, default=120, help="length of replies")
    parser.add_argument("--port", type=int, default=0, help="port to listen on; 0 chooses a free one")
    parser.add_argument("--always", nargs=2, metavar=("STATUS", "BODY"), help="answer all requests with this status and body")
    parser.add_argument(
        "--fault", action="append", default=[], metavar="SHARE:FAULT", help="inject a fault into a share of prompts"
    )
    options = parser.parse_args()
    asyncio.run(serve(Chat(options.seconds, options.words, options.always, options.fault), options.port))


if __name__ == "__main__":
    main()
