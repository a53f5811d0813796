"""A training run, from its job to its checkpoint."""

from __future__ import annotations

import shutil
import sys
from contextlib import ExitStack, closing, nullcontext
from dataclasses import asdict, dataclass
from threading import Event
from typing import Any

import torch

from textbookgen.api.cards import CausalLMCard, ParentCard
from textbookgen.api.hashing import file_digest
from textbookgen.training.evaluation import HeldOut
from textbookgen.training.job import job_lock
from textbookgen.training.metrics import MetricsWriter, RunClock
from textbookgen_megatron.backend import hardware, weights
from textbookgen_megatron.backend.checkpoint_store import MegatronCheckpointStore
from textbookgen_megatron.backend.data import PairSamples
from textbookgen_megatron.backend.device import any_process, is_rank_zero, process_groups
from textbookgen_megatron.backend.evaluation import PairEvaluator, TextEvaluator
from textbookgen_megatron.backend.gpt_model import set_rotary_base
from textbookgen_megatron.backend.initial_model import build_initial_model
from textbookgen_megatron.backend.nan_guard import NanGuard
from textbookgen_megatron.backend.objective import NextTokenObjective, Objective, PreferenceObjective
from textbookgen_megatron.backend.preference_loss import PreferenceLoss
from textbookgen_megatron.backend.reference import set_reference
from textbookgen_megatron.backend.setup import check_layout, plan_segments, resolve_optimizer_settings, resolve_shape
from textbookgen_megatron.backend.telemetry import TensorBoardWriter, profile_call
from textbookgen_megatron.backend.train_state import Segment, StepResult, TrainState
from textbookgen_megatron.checkpoint import FORMAT
from textbookgen_megatron.job import MegatronJob, StageOptions
from textbookgen_megatron.stages.dpo import Dpo

#: The weights with the lowest held-out loss so far, with `keep = "best"`.
BEST = "best.safetensors"


def run(job: MegatronJob, stop: Event) -> bool:
    """Train, from the newest checkpoint of an interrupted run if there is one, and write the result.

    Args:
        job: the job.
        stop: asks the run to save and stop.

    Returns:
        False if the run was stopped before its end.

    Raises:
        TrainerError: the job is not possible, or training diverged; no incomplete result is left.
    """
    job.folder.mkdir(parents=True, exist_ok=True)
    if job.options.threads:
        torch.set_num_threads(job.options.threads)
    groups = process_groups(job.options.tensor_parallel, job.options.pipeline_parallel)
    with groups, job_lock(job.folder) if is_rank_zero() else nullcontext():
        return Run(job).train(stop)


@dataclass
class Progress:
    """Progress of a run, which its checkpoints record beside weights and optimizer.

    Attributes:
        step: steps taken.
        tokens: tokens seen.
        loss: loss of the last step.
        seconds: seconds of training.
        bits_per_byte_before: bits per byte on held-out data before the first step, if the model was trained before.
        best_loss: lowest held-out loss so far.
        best_step: the step after which it was measured.
        misses: evaluations since then.
    """

    step: int = 0
    tokens: int = 0
    loss: float | None = None
    seconds: float = 0.0
    bits_per_byte_before: float | None = None
    best_loss: float | None = None
    best_step: int = 0
    misses: int = 0


class Run:
    """A job in progress; every process has one."""

    def __init__(self, job: MegatronJob) -> None:
        self.job, self.options, self.shards = job, job.options, job.shards
        shape = resolve_shape(job)
        check_layout(shape, self.options)
        job.check_held_out()
        for shards in job.blend.values():
            shards.check_files()
        self.segments, self.shape = plan_segments(job, shape, job.folder / "index")
        self.steps = sum(segment.steps for segment in self.segments)
        self.settings = resolve_optimizer_settings(self.options, self.steps, job.seed)
        micro_batch_size = max((segment.micro_batch_size for segment in self.segments), default=1)
        hardware.check_memory(self.shape, self.options, self.settings, micro_batch_size)
        model = build_initial_model(job, self.shape, self.settings.precision)
        self.train_state = TrainState(model, self.settings, _objective(self.options))
        self.store = MegatronCheckpointStore(job.folder / "saves")
        self.guard = NanGuard(model, self.steps, job.folder, self.store)
        self.evaluator = self._evaluator(micro_batch_size)
        self.peak_flops = hardware.peak_flops(self.options, self.settings.precision)
        self.progress, self.clock = Progress(), RunClock()
        self.held_out: HeldOut | None = None
        self._rotary_base = 0.0

    def train(self, stop: Event) -> bool:
        """Train to the end, or until the run is asked to stop and has saved; return whether it reached the end."""
        saved = self.store.load(self.train_state)
        if saved is not None:
            self.progress = Progress(**saved)
        elif self.job.parent is not None:
            self.progress.bits_per_byte_before = self.evaluator.evaluate(self.train_state).bits_per_byte
        self.clock = RunClock(self.progress.seconds)
        with ExitStack() as stack:
            writers = [stack.enter_context(closing(writer)) for writer in self._writers()] if is_rank_zero() else []
            if not self._take_steps(writers, stop):
                if is_rank_zero():
                    message = f"stopped after step {self.progress.step} of {self.steps}; run the same command again to resume"
                    print(message, file=sys.stderr)
                return False
        self._finish()
        return True

    def _evaluator(self, micro_batch_size: int) -> TextEvaluator | PairEvaluator:
        length = self.shape.sequence_length
        if not isinstance(self.options, Dpo):
            return TextEvaluator(self.job.blend, self.options.validation_tokens, micro_batch_size, length)
        valid = PairSamples(self.shards, "valid") if self.shards.counts("valid").tokens else None
        splits = {"train": self.segments[0].source, "valid": valid}
        samples = {split: source for split, source in splits.items() if isinstance(source, PairSamples)}
        set_reference(self.train_state, samples, self.job, micro_batch_size)
        return PairEvaluator(valid, micro_batch_size, length)

    def _writers(self) -> list[MetricsWriter | TensorBoardWriter]:
        folder, step = self.job.folder, self.progress.step
        return [MetricsWriter(folder, step), *([TensorBoardWriter(folder, step)] if self.options.tensorboard else [])]

    def _take_steps(self, writers: list[MetricsWriter | TensorBoardWriter], stop: Event) -> bool:
        """Take the remaining steps; return False if the run was stopped before the last."""
        progress = self.progress
        while progress.step < self.steps and not self._out_of_patience():
            segment = self._enter_segment(progress.step)
            result, tokens = self._step(segment, progress.step), segment.tokens(progress.step)
            progress.step, progress.tokens, progress.loss = progress.step + 1, progress.tokens + tokens, result.loss
            self.guard.check_step(progress.step, result)
            line = self._metrics_line(result, tokens, segment)
            stopping = progress.step < self.steps and any_process(stop.is_set())
            self.held_out = self._evaluate() if self._is_evaluation_step(progress.step) else None
            if self.held_out is not None:
                line |= self.held_out.metrics_line()
            for writer in writers:
                writer.add(line)
            if stopping or progress.step % self.options.checkpoint_every == 0:
                progress.seconds = self.clock.seconds
                self.store.save(self.train_state, progress.step, asdict(progress))
            if stopping and not self._out_of_patience():
                return False
        return True

    def _step(self, segment: Segment, done: int) -> StepResult:
        """Take the step after `done` steps, under the profiler if that was asked for."""
        if self.options.profile_step == done + 1 and is_rank_zero():
            return profile_call(lambda: self.train_state.step(segment, done), self.job.folder)
        return self.train_state.step(segment, done)

    def _enter_segment(self, done: int) -> Segment:
        """Return the segment of the step after `done` steps, and set the model's rotary base for it."""
        segment = next(segment for segment in reversed(self.segments) if segment.first_step <= done)
        if segment.rotary_base and segment.rotary_base != self._rotary_base:
            set_rotary_base(self.train_state.model, self.shape, segment.rotary_base)
            self._rotary_base = segment.rotary_base
        return segment

    def _is_evaluation_step(self, step: int) -> bool:
        every = self.options.validate_every
        return step == self.steps or (every is not None and step % every == 0)

    def _evaluate(self) -> HeldOut:
        """Evaluate on held-out data, and record (with `keep = "best"` also save) the best result."""
        progress, result = self.progress, self.evaluator.evaluate(self.train_state)
        self.guard.check_evaluation(progress.step, result)
        if result.loss is None or self.options.validate_every is None:
            return result
        if progress.best_loss is None or result.loss < progress.best_loss:
            progress.best_loss, progress.best_step, progress.misses = result.loss, progress.step, 0
            if self.options.keep == "best":
                weights.write(self.train_state.full_weights(self.shape), self.job.folder, BEST)
        else:
            progress.misses += 1
        return result

    def _out_of_patience(self) -> bool:
        """Whether as many evaluations as `patience` allows brought no improvement."""
        return self.options.patience is not None and self.progress.misses >= self.options.patience

    def _metrics_line(self, result: StepResult, tokens: int, segment: Segment) -> dict[str, Any]:
        rate = self.clock.rate(tokens)
        flops = self.shape.flops(1, segment.sequence_length) * rate
        return {
            "step": self.progress.step,
            "steps": self.steps,
            "tokens": self.progress.tokens,
            "loss": result.loss,
            **result.metrics,
            "learning_rate": result.learning_rate,
            "grad_norm": result.grad_norm,
            "sequence_length": segment.sequence_length if len(self.segments) > 1 else None,
            "tokens_per_second": round(rate, 1),
            "mfu": round(flops / (self.peak_flops * self.options.processes), 4) if self.peak_flops else None,
            "seconds": round(self.clock.seconds, 3),
        }

    def _finish(self) -> None:
        """Write the weights, the best ones if they are to be kept, and the card; then remove what only resuming needs."""
        folder, progress = self.job.folder, self.progress
        use_best = self.options.keep == "best" and progress.best_loss is not None and progress.best_step != progress.step
        memory = self.train_state.memory()
        if use_best:
            weights.load(self.train_state.model, weights.read(folder, BEST), self.shape)
            self.held_out = None
        held_out = self.held_out or self.evaluator.evaluate(self.train_state)
        self.guard.check_evaluation(progress.step, held_out)
        if not use_best:
            weights.write(self.train_state.full_weights(self.shape), folder)
        if is_rank_zero():
            if use_best:
                (folder / BEST).replace(folder / weights.FILE)
            (folder / BEST).unlink(missing_ok=True)
            if file := self.shards.tokenizer.file:
                shutil.copyfile(self.shards.folder / file, folder / file)
            self._card(held_out, memory, progress.best_step if use_best else progress.step).write(folder)
            self.store.remove_all()
            shutil.rmtree(folder / "index", ignore_errors=True)

    def _card(self, held_out: HeldOut, memory: dict[str, int], kept_step: int) -> CausalLMCard:
        progress, parent, seconds = self.progress, self.job.parent, self.clock.seconds
        return CausalLMCard(
            format=FORMAT,
            use=self.job.use,
            architecture=self.shape.architecture,
            shape=self.shape.card(),
            parameters=self.shape.parameters(),
            parameters_with_padding=self.shape.parameters(padding=True),
            step=progress.step,
            steps=self.steps,
            kept_step=kept_step,
            tokens=progress.tokens,
            tokens_total=progress.tokens + (parent.card.tokens_total if parent else 0),
            epochs=round(progress.tokens / self.job.train_tokens, 3),
            loss=progress.loss,
            validation_loss=held_out.loss,
            bits_per_byte=held_out.bits_per_byte,
            bits_per_byte_before=progress.bits_per_byte_before,
            validation=held_out.metrics,
            tokenizer=self.shards.tokenizer,
            eod=self.shards.eod,
            chat=self.shards.chat or (parent.card.chat if parent else None),
            weights=weights.FILE,
            weights_digest=file_digest(self.job.folder / weights.FILE),
            parent=ParentCard(label=parent.label, weights_digest=parent.card.weights_digest) if parent else None,
            precision=self.settings.precision,
            memory=memory,
            peak_mib=hardware.peak_memory_mib(),
            seconds=round(seconds, 3),
            tokens_per_second=round(progress.tokens / max(seconds, 1e-9), 1),
        )


def _objective(options: StageOptions) -> Objective:
    if isinstance(options, Dpo):
        return PreferenceObjective(PreferenceLoss(options.loss_weights, options.beta, options.label_smoothing))
    return NextTokenObjective()
