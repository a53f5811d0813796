"""A training run from its job to its checkpoint."""

from __future__ import annotations

import hashlib
import math
import shutil
import sys
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

import torch
from filelock import FileLock, Timeout
from torch import Tensor

from textbookgen import TrainerError
from textbookgen.training.job import Clock, Metrics, write_card
from textbookgen_megatron.backend import growth, hardware, reference, weights
from textbookgen_megatron.backend.data import ReplyPairs, check_files
from textbookgen_megatron.backend.device import any_process, is_rank_zero, process_groups
from textbookgen_megatron.backend.evaluation import Examiner, HeldOut, PairExaminer
from textbookgen_megatron.backend.gpt_model import build_model, set_rotary_base
from textbookgen_megatron.backend.objective import NextTokenObjective, Objective, PreferenceObjective
from textbookgen_megatron.backend.preference_loss import PreferenceLoss
from textbookgen_megatron.backend.saves import CheckpointStore
from textbookgen_megatron.backend.settled import check_held_out, check_layout, optimizer_settings, segments_of, shape_of
from textbookgen_megatron.backend.telemetry import TensorBoardWriter, profile_call
from textbookgen_megatron.backend.train_state import Segment, StepResult, TrainState
from textbookgen_megatron.job import Parent, TrainingJob
from textbookgen_megatron.shape import Shape
from textbookgen_megatron.stages.dpo import Dpo
from textbookgen_megatron.stages.grow import Grow
from textbookgen_megatron.stages.options import MegatronTrainOptions

#: The weights of the best measurement so far, where they are to be kept.
BEST = "best.safetensors"


def run(job: TrainingJob, stop: Event) -> bool:
    """Trains, from the last save if there is one, and writes the checkpoint; False if it was stopped before the end.

    Raises:
        TrainerError: the job cannot be done as told, or went wrong; no torn checkpoint is left.
    """
    job.folder.mkdir(parents=True, exist_ok=True)
    if job.options.threads:
        torch.set_num_threads(job.options.threads)
    with process_groups(job.options.tensor_parallel, job.options.pipeline_parallel):
        if not is_rank_zero():
            return Run(job).work(stop)
        try:
            with FileLock(job.folder / "lock", timeout=30):
                return Run(job).work(stop)
        except Timeout:
            raise TrainerError("another process trains here", place=str(job.folder), hint="wait for it, or end it") from None


@dataclass
class Progress:
    """How far a run is: what a save keeps beside weights and optimizer."""

    step: int = 0
    tokens: int = 0
    before: float | None = None
    best: float | None = None
    best_step: int = 0
    misses: int = 0

    def facts(self, clock: Clock, loss: float) -> dict[str, Any]:
        """As a save keeps it."""
        return {**vars(self), "seconds": clock.seconds, "loss": loss}

    @classmethod
    def of(cls, facts: dict[str, Any]) -> Progress:
        """As a save kept it."""
        return cls(**{name: facts[name] for name in cls.__dataclass_fields__ if name in facts})


class Run:
    """One job being worked; every process has one."""

    def __init__(self, job: TrainingJob) -> None:
        self.job, self.options, self.shards = job, job.options, job.shards
        shape = shape_of(job)
        check_layout(shape, self.options)
        check_held_out(job)
        for packed in job.blend.values():
            check_files(packed)
        self.segments, self.shape = segments_of(job, shape, job.folder / "index")
        self.steps = sum(segment.steps for segment in self.segments)
        self.settings = optimizer_settings(self.options, self.steps, job.seed)
        at_once = max((segment.micro_batch_size for segment in self.segments), default=1)
        hardware.check_memory(self.shape, self.options, self.settings, at_once)
        self.objective = _objective(self.options)
        self.train_state = self._learner()
        self.saves = CheckpointStore(job.folder / "saves")
        self.examiner = self._examiner(at_once)
        self.peak = hardware.peak_flops(self.options, self.settings.precision)
        self.told = StepResult(math.nan, None, 0.0)
        self.measured: HeldOut | None = None
        self._base = 0.0

    def work(self, stop: Event) -> bool:
        """Trains to the end, or until it is stopped and has saved."""
        facts = self.saves.load(self.train_state)
        done, clock = Progress.of(facts), Clock(facts.get("seconds", 0.0))
        if not facts:
            done.before = self._before()
        self.told = StepResult(facts.get("loss", math.nan), None, 0.0)
        with ExitStack() as opened:
            tellers = [opened.enter_context(closing(each)) for each in self._tellers(done)] if is_rank_zero() else []
            if not self._train(done, clock, tellers, stop):
                self._tell(f"stopped after step {done.step} of {self.steps}; the same command goes on from there")
                return False
        self._finish(done, clock)
        return True

    def _tellers(self, done: Progress) -> list[Metrics | TensorBoardWriter]:
        """Those who are told of every step."""
        folder = self.job.folder
        return [Metrics(folder, done.step), *([TensorBoardWriter(folder, done.step)] if self.options.tensorboard else [])]

    def _train(self, done: Progress, clock: Clock, tellers: list[Metrics | TensorBoardWriter], stop: Event) -> bool:
        """Takes the steps that are left; False if it was stopped before the last."""
        enough = self._enough(done)
        while done.step < self.steps and not enough:
            segment = self._segment(done.step)
            self.told, shown = self._step(segment, done.step), segment.tokens(done.step)
            done.step, done.tokens = done.step + 1, done.tokens + shown
            self._check_sound(done.step)
            line = self._line(done, clock, shown, segment)
            stopping = done.step < self.steps and any_process(stop.is_set())
            self.measured = self._measure(done, line) if self._is_time(done.step) else None
            enough = self._enough(done)
            for each in tellers:
                each.add(line)
            if stopping or done.step % self.options.checkpoint_every == 0:
                self.saves.save(self.train_state, done.facts(clock, self.told.loss))
            if stopping and not enough:
                return False
        return True

    def _step(self, segment: Segment, done: int) -> StepResult:
        """Takes the step after `done` steps; looks where its time goes if that was asked for."""
        if self.options.profile_step == done + 1 and is_rank_zero():
            return profile_call(lambda: self.train_state.step(segment, done), self.job.folder)
        return self.train_state.step(segment, done)

    def _learner(self) -> TrainState:
        options, parent = self.options, self.job.parent
        model = build_model(
            self.shape,
            precision=self.settings.precision,
            dropout=options.dropout,
            seed=self.job.seed,
            sequence_parallel=options.sequence_parallel,
            activation_checkpointing=options.activation_checkpointing,
        )
        if parent is not None:
            start = starting_weights(parent, options, self.shape, lambda: weights.gather(model, self.shape), self.job.seed)
            if start is not None:
                weights.load(model, start, self.shape)
        return TrainState(model, self.settings, self.objective)

    def _examiner(self, at_once: int) -> Examiner | PairExaminer:
        if not isinstance(self.options, Dpo):
            length = self.shape.sequence_length
            return Examiner(self.job.blend, self.options.validation_tokens, at_once, length)
        sources = [ReplyPairs(self.shards, split) if self.shards.counts(split).tokens else None for split in ("train", "valid")]
        train = self.segments[0].source
        assert isinstance(train, ReplyPairs) and self.job.parent is not None
        known = reference.log_probabilities(self.train_state, sources, self.job, at_once)
        train.reference = known[0]
        if sources[1] is not None:
            sources[1].reference = known[1]
        return PairExaminer(self.shards, sources[1], at_once)

    def _segment(self, step: int) -> Segment:
        """The segment that the step after `step` steps belongs to, with the model turned as it wants."""
        segment = next(each for each in reversed(self.segments) if each.first_step <= step)
        if segment.rotary_base and segment.rotary_base != self._base:
            set_rotary_base(self.train_state.model, self.shape, segment.rotary_base)
            self._base = segment.rotary_base
        return segment

    def _before(self) -> float | None:
        """Bits per byte before the first step; where there is no parent, nothing was learned yet."""
        if self.job.parent is None:
            return None
        return self.examiner.examine(self.train_state).bits_per_byte

    def _is_time(self, step: int) -> bool:
        """Whether held-out text is to be read after this step."""
        every = self.options.validate_every
        return step == self.steps or (every is not None and step % every == 0)

    def _measure(self, done: Progress, line: dict[str, Any]) -> HeldOut:
        """Reads held-out text, adds it to the line of metrics, and remembers if it was the best."""
        result = self.examiner.examine(self.train_state)
        self._check_measured(result, done.step)
        line["validation_loss"], line["validation_bits_per_byte"] = result.loss, result.bits_per_byte
        line.update({f"validation_{name}": value for name, value in result.each.items()})
        if result.loss is None or self.options.validate_every is None:
            return result
        if done.best is None or result.loss < done.best:
            done.best, done.best_step, done.misses = result.loss, done.step, 0
            if self.options.keep == "best":
                weights.write(weights.gather(self.train_state.model, self.shape), self.job.folder, BEST)
        else:
            done.misses += 1
        return result

    def _enough(self, done: Progress) -> bool:
        """Whether so many measurements found no better that the run ends here."""
        return self.options.patience is not None and done.misses >= self.options.patience

    def _line(self, done: Progress, clock: Clock, shown: int, segment: Segment) -> dict[str, Any]:
        rate = clock.rate(shown)
        flops = self.shape.flops(1, segment.sequence_length) * rate
        return {
            "step": done.step,
            "steps": self.steps,
            "tokens": done.tokens,
            "loss": self.told.loss,
            **self.told.metrics,
            "learning_rate": self.told.learning_rate,
            "grad_norm": self.told.grad_norm,
            "sequence_length": segment.sequence_length if len(self.segments) > 1 else None,
            "tokens_per_second": round(rate, 1),
            "mfu": round(flops / (self.peak * self.options.processes), 4) if self.peak else None,
            "seconds": round(clock.seconds, 3),
        }

    def _check_sound(self, step: int) -> None:
        """Raises TrainerError if the weights that this step began with give no finite loss or gradient."""
        if not self.told.is_finite:
            told = f"the loss is {self.told.loss} and the gradient's norm {self.told.grad_norm}"
            raise self._unsound(f"{told} at step {step} of {self.steps}", step - 1)

    def _check_measured(self, result: HeldOut, step: int) -> None:
        """Raises TrainerError if held-out text, or the weights, came to no finite number after this step."""
        finite = all(bool(torch.isfinite(each).all()) for each in self.train_state.model.parameters())
        if any_process(not finite) or (result.loss is not None and not math.isfinite(result.loss)):
            raise self._unsound(f"after step {step} of {self.steps} the loss of held-out text is {result.loss}", step)

    def _unsound(self, problem: str, step: int) -> TrainerError:
        """What to say when the weights of so many steps are no good; a save of them is removed."""
        self.saves.drop(step)
        hint = f"lower learning_rate or max_grad_norm; the last good save is {self.saves.last() or 'none'}"
        return TrainerError(problem, place=str(self.job.folder), hint=hint)

    def _tell(self, line: str) -> None:
        if is_rank_zero():
            print(line, file=sys.stderr)

    def _finish(self, done: Progress, clock: Clock) -> None:
        folder = self.job.folder
        best = self.options.keep == "best" and done.best is not None and done.best_step != done.step
        memory = self.train_state.memory()
        if best:
            weights.load(self.train_state.model, weights.read(folder, BEST), self.shape)
            self.measured = None
        after = self.measured or self.examiner.examine(self.train_state)
        self._check_measured(after, done.step)
        if best:
            if is_rank_zero():
                (folder / BEST).replace(folder / weights.FILE)
        else:
            weights.write(weights.gather(self.train_state.model, self.shape), folder)
        if is_rank_zero():
            (folder / BEST).unlink(missing_ok=True)
            self._write_card(done, clock, after, memory, done.best_step if best else done.step)
            self.saves.remove()
            shutil.rmtree(folder / "index", ignore_errors=True)

    def _write_card(self, done: Progress, clock: Clock, after: HeldOut, memory: dict[str, int], kept: int) -> None:
        folder, parent = self.job.folder, self.job.parent
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
                "step": done.step,
                "steps": self.steps,
                "kept_step": kept,
                "tokens": done.tokens,
                "tokens_total": done.tokens + (parent.card["tokens_total"] if parent else 0),
                "epochs": round(done.tokens / sum(each.counts("train").tokens for each in self.job.blend.values()), 3),
                "loss": None if math.isnan(self.told.loss) else self.told.loss,
                "validation_loss": after.loss,
                "bits_per_byte": after.bits_per_byte,
                "bits_per_byte_before": done.before,
                "validation": after.each,
                "tokenizer": tokenizer,
                "eod": self.shards.eod,
                "chat": self.shards.chat or (parent.card.get("chat") if parent else None),
                "weights": weights.FILE,
                "weights_digest": _digest(folder / weights.FILE),
                "parent": parent and {"label": parent.label, "weights_digest": parent.card["weights_digest"]},
                "precision": self.settings.precision,
                "memory": memory,
                "peak_mib": hardware.peak_memory_mib(),
                "seconds": round(clock.seconds, 3),
                "tokens_per_second": round(done.tokens / max(clock.seconds, 1e-9), 1),
            },
        )


def _objective(options: MegatronTrainOptions) -> Objective:
    if isinstance(options, Dpo):
        return PreferenceObjective(PreferenceLoss(options.loss_weights, options.beta, options.label_smoothing))
    return NextTokenObjective()


def starting_weights(
    parent: Parent, options: MegatronTrainOptions, shape: Shape, fresh: Callable[[], dict[str, Tensor]], seed: int
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
