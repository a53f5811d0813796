"""A training run from its job to its checkpoint."""

# transformers' types are partial, and accelerate carries none
# mypy: disable-error-code="no-untyped-call,import-untyped"

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import closing, nullcontext
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import torch
from accelerate.utils import broadcast_object_list
from filelock import FileLock, Timeout
from transformers import PreTrainedModel, PreTrainedTokenizerFast, set_seed
from transformers.utils import logging

from textbookgen import TrainerError
from textbookgen.training.job import write_card
from textbookgen_transformers.backend.architecture import model_of, parameters
from textbookgen_transformers.backend.evaluation import Examiner, HeldOut
from textbookgen_transformers.backend.following import Following, Progress
from textbookgen_transformers.backend.hardware import flops_a_token, peak_flops, peak_mib
from textbookgen_transformers.backend.learners import LanguageLearner, precision_of
from textbookgen_transformers.backend.saves import CheckpointStore
from textbookgen_transformers.backend.settled import work_of
from textbookgen_transformers.backend.soundness import Soundness
from textbookgen_transformers.backend.tokenizer import tokenizer_of, write_tokenizer
from textbookgen_transformers.job import FORMAT, TrainingJob
from textbookgen_transformers.preference import Dpo
from textbookgen_transformers.samples import ReplyPairs
from textbookgen_transformers.weights import SINGLE, digest

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


class Run:
    """One job being worked; every process has one."""

    def __init__(self, job: TrainingJob, stop: Event) -> None:
        self._job = job
        self._work = work_of(job)
        self._model = model_of(job)
        self._tokenizer = tokenizer_of(job.shards, self._model.config.max_position_embeddings, self._chat())
        self._saves = CheckpointStore(job.folder / "saves")
        self._learner = self._learner_of(self._model, self._tokenizer)
        self._accelerator = self._learner.accelerator
        if not isinstance(job.options, Dpo):
            self._examiner = Examiner(job.blend, job.options.validation_tokens, self._work.micro_batch_size)
        self._sound = Soundness(self._model, self._work.steps, job.folder, self._saves, self._accelerator)
        result = self._last_save()
        self._from: Path | None = result[0] if result else None
        self._following = Following(
            self._work,
            Progress(**(result[1] if result else {})),
            self._saves,
            stop,
            self._accelerator,
            self._examine,
            self._sound,
            self._share_of_peak(),
        )
        self._learner.add_callback(self._following)

    def work(self) -> bool:
        """Trains to the end, or until it is stopped and has saved."""
        if self._accelerator.is_main_process:
            self._saves.clear(keep=self._from)
        self._accelerator.wait_for_everyone()
        done = self._following.done
        with closing(self._following):
            if self._from is None and self._job.parent is not None:
                before = self._examine()
                self._sound.check_start(before, self._job.parent.folder)
                done.before = before.bits_per_byte
            set_seed(self._job.seed)
            self._learner.train(resume_from_checkpoint=str(self._from) if self._from else None)
        if self._following.stopped:
            self._tell(f"stopped after step {done.step} of {self._work.steps}; the same command goes on from there")
            return False
        after = self._following.measured or self._following.measure()
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

    def _last_save(self) -> tuple[Path, dict[str, Any]] | None:
        """The newest whole save, which one process looks for and tells the others."""
        result = [self._saves.last() if self._accelerator.is_main_process else None]
        broadcast_object_list(result)
        return result[0]

    def _share_of_peak(self) -> Callable[[float], float] | None:
        """What share of the devices' peak so many tokens a second are; None if the peak is unknown."""
        peak = peak_flops(self._job.options, precision_of(self._job.options))
        if peak is None:
            return None
        flops, whole = flops_a_token(self._model, self._job.shards.sequence_length), peak * self._accelerator.num_processes
        return lambda rate: flops * rate / whole

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
            "weights": SINGLE if (job.folder / SINGLE).is_file() else None,
            "weights_digest": digest(job.folder),
            "parent": parent and {"label": parent.label, "weights_digest": parent.card.get("weights_digest")},
            "precision": precision_of(job.options),
            "memory": done.memory,
            "peak_mib": peak_mib(),
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
