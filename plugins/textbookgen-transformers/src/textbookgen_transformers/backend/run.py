"""A training run, from its job to its checkpoint."""

# transformers' types are partial, and accelerate carries none
# mypy: disable-error-code="no-untyped-call,import-untyped"

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import closing, nullcontext
from threading import Event
from typing import TYPE_CHECKING, Any

import torch
from accelerate.utils import broadcast_object_list
from transformers import PreTrainedModel, set_seed
from transformers.utils import logging

from textbookgen.api.cards import CausalLMCard, ParentCard
from textbookgen.training.checkpoint_store import CheckpointStore, SavedCheckpoint
from textbookgen.training.evaluation import HeldOut
from textbookgen.training.job import job_lock
from textbookgen.training.process import launched_as_rank_zero
from textbookgen.training.prompt_codec import PromptCodec
from textbookgen_transformers.backend.architecture import build_model, count_parameters
from textbookgen_transformers.backend.callbacks import Progress, RunCallback
from textbookgen_transformers.backend.evaluation import TextEvaluator
from textbookgen_transformers.backend.hardware import device_peak_memory_mib, flops_per_token, peak_flops
from textbookgen_transformers.backend.nan_guard import NanGuard
from textbookgen_transformers.backend.samples import PairSamples
from textbookgen_transformers.backend.setup import plan_training, resolve_precision
from textbookgen_transformers.backend.tokenizer import load_tokenizer, write_tokenizer
from textbookgen_transformers.backend.trainers import LanguageModelTrainer
from textbookgen_transformers.job import FORMAT, TransformersJob
from textbookgen_transformers.stages.dpo import Dpo
from textbookgen_transformers.weight_files import SINGLE_FILE, weights_digest

if TYPE_CHECKING:
    from textbookgen_transformers.backend.dpo_trainer import PackedDpoTrainer


def run(job: TransformersJob, stop: Event) -> bool:
    """Train, from the newest checkpoint of an interrupted run if there is one, and write the result.

    Args:
        job: the job.
        stop: asks the run to save and stop.

    Returns:
        False if the run was stopped before its end.

    Raises:
        TrainerError: the job is not possible, or training diverged; no incomplete result is left.
    """
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    job.folder.mkdir(parents=True, exist_ok=True)
    try:
        with job_lock(job.folder) if launched_as_rank_zero() else nullcontext():
            return Run(job, stop).train()
    finally:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


class Run:
    """A job in progress; every process has one."""

    def __init__(self, job: TransformersJob, stop: Event) -> None:
        self._job, self._plan = job, plan_training(job)
        self._model = build_model(job)
        self._chat = job.shards.chat or (job.parent.card.chat if job.parent else None)
        self._tokenizer = load_tokenizer(job.shards, self._model.config.max_position_embeddings, self._chat)
        self._store = CheckpointStore(job.folder / "saves", "checkpoint-")
        self._trainer = self._make_trainer()
        self._accelerator = self._trainer.accelerator
        self._text_evaluator = self._make_text_evaluator()
        self._guard = NanGuard(self._model, self._plan.steps, job.folder, self._store, self._accelerator)
        self._saved = self._newest_checkpoint()
        self._callback = RunCallback(
            self._plan,
            Progress(**self._saved.progress) if self._saved else Progress(),
            self._store,
            stop,
            self._accelerator,
            self._evaluate,
            self._guard,
            self._utilization(),
        )
        self._trainer.add_callback(self._callback)

    def train(self) -> bool:
        """Train to the end, or until the run is asked to stop and has saved; return whether it reached the end."""
        saved, parent, progress = self._saved, self._job.parent, self._callback.progress
        if self._accelerator.is_main_process:
            self._store.remove_newer_than(saved.step if saved else -1)  # transformers would count them among the newest
        self._accelerator.wait_for_everyone()
        with closing(self._callback):
            if saved is None and parent is not None:
                before = self._evaluate()
                self._guard.check_start(before, parent.folder)
                progress.bits_per_byte_before = before.bits_per_byte
            set_seed(self._job.seed)
            self._trainer.train(resume_from_checkpoint=str(saved.folder) if saved else None)
        if self._callback.stopped:
            if self._accelerator.is_main_process:
                message = f"stopped after step {progress.step} of {self._plan.steps}; run the same command again to resume"
                print(message, file=sys.stderr)
            return False
        held_out = self._callback.held_out or self._callback.evaluate()
        if self._accelerator.is_main_process:
            self._write(held_out)
            self._store.remove_all()
        self._accelerator.wait_for_everyone()
        return True

    def _make_trainer(self) -> LanguageModelTrainer | PackedDpoTrainer:
        options, source, shards = self._job.options, self._plan.source, self._job.shards
        if not isinstance(options, Dpo) or not isinstance(source, PairSamples):
            return LanguageModelTrainer(self._plan, self._model, self._tokenizer)
        from textbookgen_transformers.backend.dpo_trainer import PackedDpoTrainer  # importing TRL takes seconds

        splits = {"train": source}
        if shards.counts("valid").tokens:
            splits["valid"] = PairSamples(shards, "valid")
        return PackedDpoTrainer(self._plan, options, splits, self._model, self._tokenizer)

    def _make_text_evaluator(self) -> TextEvaluator | None:
        if isinstance(self._job.options, Dpo):
            return None
        return TextEvaluator(self._job.blend, self._job.options.validation_tokens, self._plan.micro_batch_size)

    def _newest_checkpoint(self) -> SavedCheckpoint | None:
        """Return the newest complete checkpoint, which the main process finds for all."""
        saved = [self._store.newest() if self._accelerator.is_main_process else None]
        broadcast_object_list(saved)
        return saved[0]

    def _utilization(self) -> Callable[[float], float] | None:
        """Return the function from tokens per second to the share of the devices' peak; None if the peak is not known."""
        peak = peak_flops(self._job.options, resolve_precision(self._job.options))
        if peak is None:
            return None
        flops, total_peak = (
            flops_per_token(self._model, self._job.shards.sequence_length),
            peak * self._accelerator.num_processes,
        )
        return lambda rate: flops * rate / total_peak

    def _evaluate(self) -> HeldOut:
        if isinstance(self._trainer, LanguageModelTrainer):
            return self._text_evaluator.evaluate(self._model, self._accelerator) if self._text_evaluator else HeldOut()
        return self._trainer.evaluate_pairs()

    def _write(self, held_out: HeldOut) -> None:
        """Write the model, the tokenizer, and the card last."""
        folder, config = self._job.folder, self._model.config
        config.pad_token_id = None  # see `architecture.config_of`
        shards, generation = self._job.shards, self._model.generation_config
        codec = PromptCodec.load(shards.folder, shards.tokenizer.file, shards.eod, self._chat)
        generation.pad_token_id, generation.eos_token_id = shards.eod, codec.generation_end_ids
        self._model.save_pretrained(folder)
        write_tokenizer(self._tokenizer, self._job.shards, folder)
        self._card(held_out).write(folder)

    def _card(self, held_out: HeldOut) -> CausalLMCard:
        job, progress, parent = self._job, self._callback.progress, self._job.parent
        seconds, shards = self._callback.seconds, self._job.shards
        return CausalLMCard(
            format=FORMAT,
            use=job.use,
            transformers=type(self._model).__name__,
            shape=_shape(self._model),
            parameters=count_parameters(self._model),
            step=progress.step,
            steps=self._plan.steps,
            tokens=progress.tokens,
            tokens_total=progress.tokens + (parent.card.tokens_total if parent else 0),
            epochs=round(progress.tokens / job.train_tokens, 3),
            loss=progress.loss,
            validation_loss=held_out.loss,
            bits_per_byte=held_out.bits_per_byte,
            bits_per_byte_before=progress.bits_per_byte_before,
            validation=held_out.metrics,
            tokenizer=shards.tokenizer,
            eod=shards.eod,
            chat=self._chat,
            weights=SINGLE_FILE if (job.folder / SINGLE_FILE).is_file() else None,
            weights_digest=weights_digest(job.folder),
            parent=ParentCard(label=parent.label, weights_digest=parent.card.weights_digest) if parent else None,
            precision=resolve_precision(job.options),
            memory=progress.memory,
            peak_mib=device_peak_memory_mib(),
            seconds=round(seconds, 3),
            tokens_per_second=round(progress.tokens / max(seconds, 1e-9), 1),
        )


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
