"""A training run from its job to its checkpoint."""

# transformers' types are partial
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import hashlib
import math
import os
import resource
import sys
from contextlib import closing, nullcontext
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import torch
from filelock import FileLock, Timeout
from transformers import PreTrainedModel, PreTrainedTokenizerFast, set_seed
from transformers.utils import logging

from textbookgen.errors import TrainerError
from textbookgen.trainer import write_card
from textbookgen_transformers.backend.architecture import model_of, parameters
from textbookgen_transformers.backend.evaluation import Examiner, HeldOut
from textbookgen_transformers.backend.following import Following, Progress
from textbookgen_transformers.backend.learners import (
    CUDA,
    LanguageLearner,
    Work,
    micro_batch_of,
    precision_of,
)
from textbookgen_transformers.backend.saves import Saves
from textbookgen_transformers.backend.tokenizer import tokenizer_of, write_tokenizer
from textbookgen_transformers.job import FORMAT, TrainingJob
from textbookgen_transformers.preference import Dpo
from textbookgen_transformers.samples import Blend, ReplyPairs, Stream, WholeDocuments
from textbookgen_transformers.training import Pretrain, Sft

if TYPE_CHECKING:
    from textbookgen_transformers.backend.preferring import PreferenceLearner


def run(job: TrainingJob, stop: Event) -> bool:
    """Trains, from the last save if there is one, and writes the checkpoint; False if it was stopped before the end.

    Raises:
        TrainerError: the job cannot be done as told, or went wrong; no torn checkpoint is left.
    """
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    job.folder.mkdir(parents=True, exist_ok=True)
    first = os.environ.get("RANK", "0") == "0"
    try:
        with FileLock(job.folder / "lock", timeout=30) if first else nullcontext():
            return Run(job, stop).work()
    except Timeout:
        raise TrainerError("another process trains here", place=str(job.folder), hint="wait for it, or end it") from None
    finally:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def work_of(job: TrainingJob) -> Work:
    """What is shown, in how many steps, and how much of it at once."""
    options, length = job.options, job.shards.sequence_length
    if isinstance(options, Pretrain):
        steps = math.ceil(options.tokens / (options.batch * length))
        streams = {label: Stream(packed, job.seed + place) for place, (label, packed) in enumerate(job.blend.items())}
        weights = options.weights or {label: float(packed.counts("train").tokens) for label, packed in job.blend.items()}
        only = len(streams) == 1
        source = next(iter(streams.values())) if only else _blend(streams, weights, job.seed)
        return Work(job, source, steps, micro_batch_of(options, length))
    assert isinstance(options, Sft | Dpo)
    pairs = isinstance(options, Dpo)
    shown = ReplyPairs(job.shards, "train", job.seed) if pairs else WholeDocuments(job.shards, "train", job.seed)
    steps = math.ceil(options.epochs * len(shown) / options.batch)
    return Work(job, shown, steps, micro_batch_of(options, length, 2 if pairs else 1))


def _blend(streams: dict[str, Stream], weights: dict[str, float], seed: int) -> Blend:
    return Blend(list(streams.values()), [weights.get(label, 0.0) for label in streams], seed)


class Run:
    """One job being worked; every process has one."""

    def __init__(self, job: TrainingJob, stop: Event) -> None:
        self._job = job
        self._model = model_of(job)
        self._work = work_of(job)
        self._tokenizer = tokenizer_of(job.shards, self._model.config.max_position_embeddings, self._chat())
        self._saves = Saves(job.folder / "saves")
        self._learner = self._learner_of(self._model, self._tokenizer)
        self._accelerator = self._learner.accelerator
        if not isinstance(job.options, Dpo):
            self._examiner = Examiner(job.blend, job.options.validation_tokens, self._work.micro_batch)
        found = self._saves.last()
        self._from: Path | None = found[0] if found else None
        self._following = Following(
            self._work, Progress(**(found[1] if found else {})), self._saves, stop, self._accelerator, lambda: self._examine()
        )
        self._learner.add_callback(self._following)

    def work(self) -> bool:
        """Trains to the end, or until it is stopped and has saved."""
        self._accelerator.wait_for_everyone()  # others may still look for a save
        if self._accelerator.is_main_process:
            self._saves.clear(keep=self._from)
        self._accelerator.wait_for_everyone()
        done = self._following.done
        with closing(self._following):
            if self._from is None and self._job.parent is not None:
                done.before = self._examine().bits_per_byte
            set_seed(self._job.seed)
            self._learner.train(resume_from_checkpoint=str(self._from) if self._from else None)
        if self._following.stopped:
            self._tell(f"stopped after step {done.step} of {self._work.steps}; the same command goes on from there")
            return False
        after = self._following.measured or self._examine()
        if self._accelerator.is_main_process:
            self._write(after)
            self._saves.remove()
        self._accelerator.wait_for_everyone()
        return True

    def _learner_of(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> LanguageLearner | PreferenceLearner:
        if not isinstance(self._job.options, Dpo):
            return LanguageLearner(self._work, model, tokenizer)
        from textbookgen_transformers.backend.preferring import PreferenceLearner  # TRL takes its time to load

        held_out = self._job.shards.counts("valid").tokens > 0
        return PreferenceLearner(self._work, model, tokenizer, ReplyPairs(self._job.shards, "valid") if held_out else None)

    def _examine(self) -> HeldOut:
        if isinstance(self._learner, LanguageLearner):
            return self._examiner.examine(self._model, self._accelerator)
        return self._learner.examine()

    def _chat(self) -> str | None:
        """The chat template of the shards, or that the model had."""
        known = self._job.shards.card.get("chat") or (self._job.parent and self._job.parent.card.get("chat"))
        return str(known["template"]) if known else None

    def _tell(self, line: str) -> None:
        if self._accelerator.is_main_process:
            print(line, file=sys.stderr)

    def _write(self, after: HeldOut) -> None:
        """The model, the tokenizer, and the card last."""
        folder, config = self._job.folder, self._model.config
        config.pad_token_id = None  # see `architecture.config_of`
        self._model.generation_config.pad_token_id = config.eos_token_id
        self._model.save_pretrained(folder)
        write_tokenizer(self._tokenizer, self._job.shards, folder)
        write_card(folder, self._card(after))

    def _card(self, after: HeldOut) -> dict[str, Any]:
        job, done, parent = self._job, self._following.done, self._job.parent
        seconds, shards = self._following.seconds, self._job.shards
        return {
            "format": FORMAT,
            "use": job.use,
            "transformers": type(self._model).__name__,
            "shape": _shape(self._model),
            "parameters": parameters(self._model),
            "step": done.step,
            "steps": self._work.steps,
            "tokens": done.tokens,
            "tokens_total": done.tokens + (parent.card["tokens_total"] if parent else 0),
            "epochs": round(done.tokens / sum(each.counts("train").tokens for each in job.blend.values()), 3),
            "loss": done.loss,
            "validation_loss": after.loss,
            "bits_per_byte": after.bits_per_byte,
            "bits_per_byte_before": done.before,
            "validation": after.each,
            "tokenizer": shards.tokenizer,
            "eod": shards.eod,
            "chat": shards.card.get("chat") or (parent.card.get("chat") if parent else None),
            "weights": "model.safetensors",
            "weights_digest": _digest(job.folder),
            "parent": parent and {"label": parent.label, "weights_digest": parent.card["weights_digest"]},
            "precision": precision_of(job.options),
            "peak_mib": _peak_mib(),
            "seconds": round(seconds, 3),
            "tokens_per_second": round(done.tokens / max(seconds, 1e-9), 1),
        }


def _shape(model: PreTrainedModel) -> dict[str, Any]:
    config = model.config
    return {
        "architecture": config.model_type,
        "layers": config.num_hidden_layers,
        "hidden": config.hidden_size,
        "heads": config.num_attention_heads,
        "kv_heads": getattr(config, "num_key_value_heads", None) or config.num_attention_heads,
        "vocabulary": config.vocab_size,
        "sequence_length": config.max_position_embeddings,
    }


def _digest(folder: Path) -> str:
    """Of all weight files, one after the other."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("model*.safetensors")):
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def _peak_mib() -> float:
    """The most memory this process has had: of its GPU, or else of the machine."""
    if CUDA:
        return round(torch.cuda.max_memory_allocated() / 2**20, 1)
    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20, 1)
