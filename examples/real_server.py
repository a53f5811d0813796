"""Send requests to a real model: `transformers serve` on loopback, through the teachers `openai` and `litellm/chat`.

    pip install "transformers[serving]" accelerate torch textbookgen textbookgen-litellm
    python examples/real_server.py [--model FOLDER]

FOLDER is a model in the transformers format, such as one that a recipe trained and exported; by default a tiny model with
random weights is created, which writes gibberish over the same protocol. Prints each teacher's replies and token counts. The
exit code is 0 if both teachers replied and a second round was answered from the ledger.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import socket
from urllib.error import URLError
from urllib.request import urlopen

from textbookgen import Message, Request, Teacher
from textbookgen.builtin.teachers import OpenAITeacher
from textbookgen.llm import Client, bounded_map
from textbookgen.storage.ledger import Ledger

TEMPLATE = "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}assistant: "
PROMPTS = ("Write a story about a fox.", "Write a story about a boat.", "What is a loop in Python?")


def make_tiny_model(folder: Path) -> Path:
    """Create a Llama with two small layers, random weights and a byte-level vocabulary."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(), decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        PROMPTS, trainers.BpeTrainer(vocab_size=400, special_tokens=["<eos>"], initial_alphabet=alphabet)
    )
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<eos>", pad_token="<eos>")
    fast.chat_template = TEMPLATE
    torch.manual_seed(0)
    shape = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = LlamaConfig(
        vocab_size=len(fast), max_position_embeddings=512, bos_token_id=None, eos_token_id=0, pad_token_id=0, **shape
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


@contextmanager
def serving(model: Path) -> Iterator[str]:
    """Run `transformers serve` with a model, and yield its address once it is healthy."""
    with socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).with_name("transformers")), "serve", str(model), "--port", str(port), "--device", "cpu"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(f"http://127.0.0.1:{port}/health", server)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.terminate()
        server.wait(30)


def wait_for(address: str, server: subprocess.Popen[bytes]) -> None:
    """Return once the address responds.

    Raises:
        SystemExit: the server exited, or did not respond within three minutes.
    """
    for _ in range(180):
        try:
            urlopen(address).close()
            return
        except (URLError, ConnectionError):
            if server.poll() is not None:
                raise SystemExit("the server did not start; check that transformers[serving] is installed") from None
            time.sleep(1)
    raise SystemExit("the server did not start within three minutes")


async def ask(teacher: Teacher, use: str, ledger: Ledger) -> tuple[int, int]:
    """Send all prompts, print the replies, and return the numbers of requests sent and of replies."""
    requests = [Request((Message("user", prompt),)) for prompt in PROMPTS]
    replies = 0
    async with Client(teacher, use, ledger) as client:
        async for request, answer in bounded_map(requests, client.complete, teacher.max_parallel):
            if isinstance(answer, Exception):
                print(f"{use}: {request.messages[0].content} -> {answer}")
                continue
            replies += 1
            reply = answer.reply
            origin = ", from the ledger" if answer.from_ledger else ""
            counts = f"{reply.tokens_in} tokens in, {reply.tokens_out} out, {reply.finish}{origin}"
            print(f"{use}: {request.messages[0].content} -> {reply.text[:60]!r} ({counts})")
        return client.usage.requests, replies


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--model", type=Path, help="folder of a model in the transformers format")
    options = parser.parse_args()
    from textbookgen_litellm import LiteLLMTeacher

    with tempfile.TemporaryDirectory() as folder:
        model = (options.model or make_tiny_model(Path(folder, "model"))).resolve()
        ledger = Ledger(Path(folder, "ledger.sqlite"))
        with serving(model) as address:
            direct = OpenAITeacher(model=str(model), api_base=(address,), max_tokens=24, max_parallel=2)
            through_litellm = LiteLLMTeacher(model=f"openai/{model}", api_base=address, max_tokens=24, max_parallel=2)
            both: tuple[tuple[Teacher, str], ...] = ((direct, "openai"), (through_litellm, "litellm/chat"))
            first = [asyncio.run(ask(teacher, use, ledger)) for teacher, use in both]
            again = [asyncio.run(ask(teacher, use, ledger)) for teacher, use in both]
        ledger.close()
    sys.exit(first != [(3, 3)] * 2 or again != [(0, 3)] * 2)


if __name__ == "__main__":
    main()
