"""A training run from its job to its checkpoint."""

from __future__ import annotations

import hashlib
import math
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

import torch
from filelock import FileLock, Timeout
from torch import Tensor

from textbookgen.errors import TrainerError
from textbookgen_megatron.backend import growth, weights
from textbookgen_megatron.backend.data import Source, Stream, WholeDocuments
from textbookgen_megatron.backend.device import any_process, is_first, processes
from textbookgen_megatron.backend.evaluation import Examiner, HeldOut
from textbookgen_megatron.backend.model import build
from textbookgen_megatron.backend.saves import Saves
from textbookgen_megatron.backend.settled import check_layout, micro_batch, recipe_of, shape_of
from textbookgen_megatron.backend.step import Learner, Told
from textbookgen_megatron.job import Clock, Metrics, Parent, TrainingJob, write_card
from textbookgen_megatron.shape import Shape
from textbookgen_megatron.training import Grow, Pretrain, Sft, Training


def run(job: TrainingJob, stop: Event) -> bool:
    """Trains, from the last save if there is one, and writes the checkpoint; False if it was stopped before the end.

    Raises:
        TrainerError: the job cannot be done as told, or went wrong; no torn checkpoint is left.
    """
    job.folder.mkdir(parents=True, exist_ok=True)
    if job.options.threads:
        torch.set_num_threads(job.options.threads)
    with processes(job.options.tensor_parallel):
        if not is_first():
            return Run(job).work(stop)
        try:
            with FileLock(job.folder / "lock", timeout=30):
                return Run(job).work(stop)
        except Timeout:
            raise TrainerError("another process trains here", place=str(job.folder), hint="wait for it, or end it") from None


class Run:
    """One job being worked; every process has one."""

    def __init__(self, job: TrainingJob) -> None:
        self.job, self.options, self.shards = job, job.options, job.shards
        self.shape = shape_of(job)
        check_layout(self.shape, self.options)
        self.micro_batch = micro_batch(self.options, self.shards.sequence_length)
        self.source, self.steps = self._source()
        self.recipe = recipe_of(self.options, self.steps, self.micro_batch, job.seed)
        self.learner = self._learner()
        self.saves = Saves(job.folder / "saves")
        self.examiner = Examiner(self.shards, self.options.validation_tokens, self.micro_batch)
        self.told = Told(math.nan, None, 0.0)

    def work(self, stop: Event) -> bool:
        """Trains to the end, or until it is stopped and has saved."""
        facts = self.saves.load(self.learner)
        step, tokens, clock = facts.get("step", 0), facts.get("tokens", 0), Clock(facts.get("seconds", 0.0))
        before = facts.get("before") if facts else self._before()
        self.told = Told(facts.get("loss", math.nan), None, 0.0)
        metrics = Metrics(self.job.folder, step) if is_first() else None
        after = HeldOut(None, None)
        while step < self.steps:
            self.told = self.learner.step(self.source, step)
            step, shown = step + 1, self.source.tokens(step * self.recipe.batch, (step + 1) * self.recipe.batch)
            tokens += shown
            self._check_sound(step)
            line = self._line(step, tokens, clock, shown)
            stopping = step < self.steps and any_process(stop.is_set())
            if step == self.steps:
                after = self.examiner.examine(self.learner)
                line["validation_bits_per_byte"] = after.bits_per_byte
            if metrics:
                metrics.add(line)
            if stopping or step % self.options.checkpoint_every == 0:
                self._save({"step": step, "tokens": tokens, "seconds": clock.seconds, "before": before, "loss": self.told.loss})
            if stopping:
                self._tell(f"stopped after step {step} of {self.steps}; the same command goes on from there")
                return False
        if after.loss is None:
            after = self.examiner.examine(self.learner)
        self._finish(step, tokens, clock, before, after)
        return True

    def _source(self) -> tuple[Source, int]:
        """The samples, and in how many steps they are seen."""
        options = self.options
        if isinstance(options, Sft):
            documents = WholeDocuments(self.shards, "train", self.job.seed)
            return documents, math.ceil(options.epochs * len(documents) / options.batch)
        assert isinstance(options, Pretrain | Grow)
        steps = math.ceil(options.tokens / (options.batch * self.shards.sequence_length))
        if not steps:
            return WholeDocuments(self.shards, "valid", limit=0), 0
        return Stream(self.shards, steps * options.batch, self.job.seed, self.job.folder / "index"), steps

    def _learner(self) -> Learner:
        model = build(self.shape, precision=self.recipe.precision, dropout=self.options.dropout, seed=self.job.seed)
        if self.job.parent is not None:
            start = starting_weights(
                self.job.parent, self.options, self.shape, lambda: weights.gather(model, self.shape), self.job.seed
            )
            if start is not None:
                weights.load(model, start, self.shape)
        return Learner(model, self.recipe, self.shards.sequence_length)

    def _before(self) -> float | None:
        """Bits per byte before the first step; where there is no parent, nothing was learned yet."""
        if self.job.parent is None:
            return None
        return self.examiner.examine(self.learner).bits_per_byte

    def _line(self, step: int, tokens: int, clock: Clock, shown: int) -> dict[str, Any]:
        return {
            "step": step,
            "steps": self.steps,
            "tokens": tokens,
            "loss": self.told.loss,
            "learning_rate": self.told.learning_rate,
            "grad_norm": self.told.gradient,
            "tokens_per_second": round(clock.rate(shown), 1),
            "seconds": round(clock.seconds, 3),
        }

    def _check_sound(self, step: int) -> None:
        if not self.told.sound:
            last = self.saves.last()
            raise TrainerError(
                f"the loss is {self.told.loss} and the gradient's norm {self.told.gradient} at step {step} of {self.steps}",
                place=str(self.job.folder),
                hint=f"lower learning_rate or clip; the last good save is {last or 'none'}",
            )

    def _save(self, facts: dict[str, Any]) -> None:
        self.saves.save(self.learner, facts)

    def _tell(self, line: str) -> None:
        if is_first():
            print(line, file=sys.stderr)

    def _finish(self, step: int, tokens: int, clock: Clock, before: float | None, after: HeldOut) -> None:
        folder, parent = self.job.folder, self.job.parent
        weights.write(weights.gather(self.learner.model, self.shape), folder)
        if not is_first():
            return
        tokenizer = self.shards.tokenizer
        if tokenizer["file"]:
            shutil.copyfile(self.shards.folder / tokenizer["file"], folder / tokenizer["file"])
        write_card(
            folder,
            {
                "format": "megatron",
                "use": self.job.use,
                "architecture": self.shape.architecture,
                "shape": self.shape.card(),
                "parameters": self.shape.parameters(),
                "parameters_with_padding": self.shape.parameters(padding=True),
                "step": step,
                "tokens": tokens,
                "tokens_total": tokens + (parent.card["tokens_total"] if parent else 0),
                "epochs": round(tokens / self.shards.counts("train").tokens, 3),
                "loss": None if math.isnan(self.told.loss) else self.told.loss,
                "validation_loss": after.loss,
                "bits_per_byte": after.bits_per_byte,
                "bits_per_byte_before": before,
                "tokenizer": tokenizer,
                "eod": self.shards.eod,
                "weights": weights.FILE,
                "weights_digest": _digest(folder / weights.FILE),
                "parent": parent and {"label": parent.label, "weights_digest": parent.card["weights_digest"]},
                "precision": self.recipe.precision,
                "seconds": round(clock.seconds, 3),
                "tokens_per_second": round(tokens / max(clock.seconds, 1e-9), 1),
            },
        )
        self.saves.remove()
        shutil.rmtree(folder / "index", ignore_errors=True)


def starting_weights(
    parent: Parent, options: Training, shape: Shape, fresh: Callable[[], dict[str, Tensor]], seed: int
) -> dict[str, Tensor] | None:
    """The weights that training starts from; None to keep those the model was built with."""
    if not isinstance(options, Grow):
        return weights.read(parent.folder)
    if options.method == "scratch":
        return None
    small, old, rounding = weights.read(parent.folder), parent.shape, options.layer_rounding
    if options.method == "reuse":
        return growth.reuse(small, fresh(), old, shape, rounding=rounding)
    return growth.tile(small, old, shape, noise=options.noise, seed=seed, rounding=rounding)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
