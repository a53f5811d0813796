"""The teacher `checkpoint`: a local model, trained by an earlier stage or read from a folder, answers requests."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Annotated

from pydantic import Field, PrivateAttr

from textbookgen.api.annotations import Input, Runtime
from textbookgen.api.artifacts import Artifact, Checkpoint
from textbookgen.api.cards import CheckpointCard
from textbookgen.api.errors import RequestRefused, TeacherError, TextbookgenError, TrainerError
from textbookgen.api.hashing import file_digest
from textbookgen.api.model import Model, TokenModel
from textbookgen.api.teacher import Price, Reply, Request, Teacher
from textbookgen.builtin.chat_prompts import read_chat_template, render_chat

#: The files of a checkpoint that determine its replies: weights, architecture and tokenizer.
_MODEL_FILES = ("*.safetensors", "*.bin", "*.pt", "*.gguf", "config.json", "tokenizer*", "vocab*", "merges*", "chat_template*")
#: Seconds between two batches, for callers that have just been answered to send their next request.
_BATCH_DELAY = 0.002


class CheckpointTeacher(Teacher):
    """A checkpoint of any trainer, such as one trained by an earlier stage of the recipe: for self-play, and for data
    written by a local model.

    Messages are formatted with the checkpoint's chat template; without one, they are joined by blank lines. The ledger
    identifies the model by a digest of its weights, whatever its folder or label. Waiting requests are answered in batches
    of up to `max_parallel`; a reply does not depend on the others in its batch.
    """

    name = "checkpoint"

    checkpoint: Annotated[str, Input(Checkpoint, or_name=True)] = Field(
        description="an earlier stage that writes a checkpoint, or the folder of one"
    )
    temperature: float = Field(1.0, ge=0, description="sampling temperature, unless a stage sets its own; 0 is greedy")
    max_tokens: int = Field(512, gt=0, description="maximum number of tokens of a reply")
    stop: tuple[str, ...] = Field((), max_length=16, description="texts at which a reply ends; not included in it")
    seed: int = Field(0, description="sampling seed; each reply depends on it and on the request alone")
    max_retries: Annotated[int, Runtime] = Field(
        0, ge=0, description="how often a failed request is retried; a local model usually fails the same way again"
    )

    _folder: Path | None = PrivateAttr(None)
    _open_model: Callable[[Path], Model] | None = PrivateAttr(None)
    _model: Model | None = PrivateAttr(None)
    _queue: list[tuple[Request, asyncio.Future[Reply]]] = PrivateAttr(default_factory=list)
    _batch_task: asyncio.Task[None] | None = PrivateAttr(None)

    def prepare(self, inputs: Mapping[str, Artifact], open_model: Callable[[Path], Model]) -> None:
        """Locate the checkpoint; the model is loaded by the first request that the ledger cannot answer."""
        checkpoint = inputs.get(self.checkpoint)
        self._folder = checkpoint.path if isinstance(checkpoint, Checkpoint) else Path(self.checkpoint)
        self._open_model = open_model
        self._queue = []

    def digest(self) -> str:
        """Return the digest of weights, architecture, tokenizer and chat template; empty while the folder does not exist."""
        folder = self._folder or Path(self.checkpoint)
        return model_digest(folder) if folder.is_dir() else ""

    def price(self) -> Price:
        """Free: the model runs locally."""
        return Price(0.0, 0.0)

    def max_output_tokens(self) -> int:
        """Return `max_tokens`."""
        return self.max_tokens

    async def complete(self, request: Request) -> Reply:
        """Return the model's reply; requests that arrive while it is busy form the next batch.

        Raises:
            RequestRefused: the request has no messages.
            TeacherError: the model cannot be loaded, or failed.
        """
        if not request.messages:
            raise RequestRefused("the request has no messages")
        reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._queue.append((request, reply))
        if self._batch_task is None or self._batch_task.done():
            self._batch_task = asyncio.create_task(self._run_batches())
        return await reply

    async def _run_batches(self) -> None:
        while self._queue:
            await asyncio.sleep(_BATCH_DELAY)
            batch, self._queue[:] = self._queue[: self.max_parallel], self._queue[self.max_parallel :]
            waiting = [reply for _, reply in batch]
            try:
                replies = await asyncio.to_thread(self._complete_batch, [request for request, _ in batch])
            except TextbookgenError as error:
                _fail(waiting, TeacherError(error.problem, place=error.place, hint=error.hint))
            except Exception as error:  # a bug in a trainer's model: raised in the callers, who would wait forever otherwise
                _fail(waiting, error)
            else:
                for future, reply in zip(waiting, replies, strict=True):
                    if not future.done():
                        future.set_result(reply)

    def _complete_batch(self, requests: Sequence[Request]) -> list[Reply]:
        if self._open_model is None or self._folder is None:
            raise TrainerError("the teacher was not prepared", hint="call `prepare` before the first request")
        if self._model is None:
            self._model = self._open_model(self._folder)
        if isinstance(self._model, TokenModel):
            replies: dict[int, Reply] = {}
            for temperature in sorted({self._temperature(request) for request in requests}):
                group = [at for at, request in enumerate(requests) if self._temperature(request) == temperature]
                answers = self._complete_token_ids(self._model, [requests[at] for at in group], temperature)
                replies |= zip(group, answers, strict=True)
            return [replies[at] for at in range(len(requests))]
        template = read_chat_template(self._folder)
        return [self._complete_text(self._model, request, template) for request in requests]

    def _temperature(self, request: Request) -> float:
        return self.temperature if request.temperature is None else request.temperature

    def _complete_token_ids(self, model: TokenModel, requests: Sequence[Request], temperature: float) -> list[Reply]:
        prompts = model.encode([request.messages for request in requests])
        continuations = model.extend(
            prompts,
            max_tokens=self.max_tokens,
            temperature=temperature,
            stop=self.stop,
            seeds=[self._seed(request) for request in requests],
        )
        return [
            Reply(continuation.text, len(prompt), len(continuation.ids), finish="stop" if continuation.ended else "length")
            for prompt, (continuation,) in zip(prompts, continuations, strict=True)
        ]

    def _complete_text(self, model: Model, request: Request, template: str | None) -> Reply:
        """Complete one request: the samples of such a model may depend on the other prompts of a batch."""
        prompt, end_of_turn = render_chat(request.messages, template)
        ((text,),) = model.complete(
            [prompt],
            max_tokens=self.max_tokens,
            temperature=self._temperature(request),
            stop=(*self.stop, *([end_of_turn] if end_of_turn else [])),
            seed=self._seed(request),
        )
        return Reply(text)

    def _seed(self, request: Request) -> int:
        """Return a 48-bit seed that depends on the request and the option `seed` only."""
        facts = [self.seed, request.sample, [[message.role, message.content] for message in request.messages]]
        return int.from_bytes(sha256(json.dumps(facts).encode()).digest()[:6], "big")

    async def close(self) -> None:
        """Unload the model; the next request loads it again."""
        model, self._model = self._model, None
        if model is not None:
            await asyncio.to_thread(model.close)


def _fail(replies: Sequence[asyncio.Future[Reply]], error: Exception) -> None:
    for reply in replies:
        if not reply.done():
            reply.set_exception(error)


def model_digest(folder: Path) -> str:
    """Return the digest of a checkpoint, 64 hexadecimal digits: of its model files and of shape, eod and chat on its card.

    Empty if the folder contains no model files.
    """
    total = sha256()
    files = {file for pattern in _MODEL_FILES for file in folder.glob(pattern) if file.is_file()}
    for file in sorted(files):
        status = file.stat()
        total.update(f"{file.name}\x1f{_cached_digest(file, status.st_size, status.st_mtime_ns)}\x1f".encode())
    card = CheckpointCard.read(folder) if (folder / CheckpointCard.file_name).is_file() else CheckpointCard(format="")
    chat = card.chat.model_dump() if card.chat else None
    total.update(json.dumps([card.shape, card.eod, chat], sort_keys=True).encode())
    return total.hexdigest() if files else ""


@lru_cache(maxsize=256)
def _cached_digest(file: Path, size: int, modified_ns: int) -> str:
    """Return a file's digest, read once for each size and modification time."""
    return file_digest(file)
