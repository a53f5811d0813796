"""A loopback server that speaks OpenAI's chat API, answers with canned text after a while, and fails on cue.

    python chat_server.py [--seconds 0.02] [--words 120]

prints its port and serves until its standard input closes. A prompt may hold a cue: `<<KINDxTIMES@SECONDS>>` with KIND one
of 429, 500 (any status), cut, drop, half, hang, junk or empty; after TIMES it is answered (`<<400>>` never is). With
`--trouble SHARE:CUE` that share of all prompts, by their hashes, is taken to hold the cue. GET /stats tells, for each
prompt, how often it was asked and answered. Plain asyncio, so that the server takes little of the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
from collections import Counter
from hashlib import sha256

CUE = re.compile(rb"<<(\w+?)(?:x(\d+))?(?:@([\d.]+))?>>")
KEY = re.compile(rb"^authorization: *(.*?)\r?$", re.IGNORECASE | re.MULTILINE)
WORDS = ("once", "upon", "a", "time", "a", "small", "fox", "found", "a", "quiet", "path", "under", "the", "tall", "trees")


class Chat:
    """What the server knows: how to answer, and what it was asked."""

    def __init__(self, seconds: float, words: int, refuse: list[str] | None, trouble: list[str]) -> None:
        self.refuse = refuse
        self.trouble = [(float(share), f"<<{cue}>>".encode()) for share, _, cue in (item.partition(":") for item in trouble)]
        self.keys: set[str] = set()
        self.seconds = seconds
        self.text = " ".join(WORDS[n % len(WORDS)] for n in range(words))
        self.asked: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self.under_way = self.most_under_way = 0

    def cue(self, prompt: str, body: bytes) -> re.Match[bytes] | None:
        """What is to go wrong with this prompt."""
        place = int(sha256(f"trouble {prompt}".encode()).hexdigest()[:8], 16) / 2**32
        for share, cue in self.trouble:
            if place < share:
                return CUE.fullmatch(cue)
            place -= share
        return CUE.search(body)

    def stats(self) -> dict[str, object]:
        return {
            "asked": self.asked,
            "answered": self.answered,
            "most_under_way": self.most_under_way,
            "keys": sorted(self.keys),
        }


class Connection(asyncio.Protocol):
    """One connection: requests come one after the other, as HTTP clients with a pool send them."""

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
        asked = json.loads(body)
        prompt = asked["messages"][-1]["content"]
        chat = self.chat
        key = KEY.search(head)
        if key:
            chat.keys.add(key.group(1).decode())
        chat.asked[prompt] += 1
        chat.under_way += 1
        chat.most_under_way = max(chat.most_under_way, chat.under_way)
        asyncio.get_running_loop().call_later(chat.seconds, self.answer, asked, prompt, chat.cue(prompt, body))

    def answer(self, asked: dict, prompt: str, cue: re.Match[bytes] | None) -> None:
        self.chat.under_way -= 1
        if self.transport.is_closing():
            return
        if self.chat.refuse:
            self.send(int(self.chat.refuse[0]), self.chat.refuse[1].encode())
            return
        if cue and self.chat.asked[prompt] <= int(cue.group(2) or 10**9):
            self.fail(cue.group(1).decode(), (cue.group(3) or b"").decode(), asked, prompt)
        else:
            self.reply(asked, prompt)

    def fail(self, kind: str, seconds: str, asked: dict, prompt: str) -> None:
        if kind.isdigit():
            wait = f"Retry-After: {seconds}\r\n" if seconds else ""
            self.send(int(kind), b'{"error": {"message": "told to fail", "code": null}}', wait)
        elif kind == "cut":
            self.reply(asked, prompt, finish="length")
        elif kind == "drop":
            self.transport.close()
        elif kind == "half":
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")
            self.transport.close()
        elif kind == "junk":
            self.send(200, b'{"choices": [{"mess')
        elif kind == "empty":
            self.send(200, b'{"choices": [], "usage": {"prompt_tokens": 3}}')
        elif kind != "hang":
            self.send(400, f'{{"error": {{"message": "no such cue: {kind}"}}}}'.encode())

    def reply(self, asked: dict, prompt: str, finish: str = "stop") -> None:
        text = f"{sha256(prompt.encode()).hexdigest()[:12]} {self.chat.text}"
        words = text.count(" ") + 1
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "finish_reason": finish}
        usage = {
            "prompt_tokens": len(prompt) // 4 + 1,
            "completion_tokens": words,
            "total_tokens": len(prompt) // 4 + 1 + words,
        }
        about = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": asked["model"]}
        self.chat.answered[prompt] += 1
        self.send(200, json.dumps({**about, "choices": [choice], "usage": usage}).encode())

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
    parser.add_argument("--seconds", type=float, default=0.02)
    parser.add_argument("--words", type=int, default=120)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--refuse", nargs=2, metavar=("STATUS", "BODY"), help="answer so to all requests")
    parser.add_argument("--trouble", action="append", default=[], metavar="SHARE:CUE", help="fail so for this share of prompts")
    given = parser.parse_args()
    asyncio.run(serve(Chat(given.seconds, given.words, given.refuse, given.trouble), given.port))


if __name__ == "__main__":
    main()
