"""Transformers' Trainer and TRL's DPOTrainer, told what to show, when, and at what learning rate; the rest is theirs."""

# the two trainers and their bases carry no types
# mypy: disable-error-code="misc,import-untyped,attr-defined,no-untyped-call"

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from numpy.typing import NDArray
from torch import Tensor
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import SequentialSampler
from transformers import PreTrainedModel, PreTrainedTokenizerFast, Trainer, TrainingArguments
from transformers.trainer_callback import PrinterCallback
from trl import DPOConfig, DPOTrainer

from textbookgen_transformers.backend.batches import Batch, InOrder, Pairs, stacked
from textbookgen_transformers.backend.evaluation import HeldOut, summed_nats
from textbookgen_transformers.backend.schedule import rate_of
from textbookgen_transformers.job import TrainingJob
from textbookgen_transformers.preference import Dpo
from textbookgen_transformers.samples import IGNORED, ReplyPairs, Sample, Source
from textbookgen_transformers.training import Training

CUDA = torch.cuda.is_available()
#: Tokens a process works at once unless told: what keeps a CPU's caches, or a GPU, busy.
TOKENS_AT_ONCE = 16_384 if CUDA else 4_096
#: What working layers out again is called: it changed with transformers 5.
_RECOMPUTE = next(
    name for name in ("activation_checkpointing", "gradient_checkpointing") if name in TrainingArguments.__dataclass_fields__
)


@dataclass(frozen=True)
class Work:
    """What a job leaves open, settled: what is shown, in how many steps, and how much of a batch at once."""

    job: TrainingJob
    source: Source
    steps: int
    micro_batch: int

    @property
    def options(self) -> Training:
        """The job's options."""
        return self.job.options

    def dataset(self, model: PreTrainedModel) -> InOrder:
        """All samples of the run, in order."""
        return InOrder(self.source, self.steps * self.options.batch, model.config.vocab_size)


def micro_batch_of(options: Training, length: int, rows: int = 1) -> int:
    """Samples a process works at once: what was asked, or the most that divides its share and is not too much."""
    if options.micro_batch:
        return options.micro_batch
    mine, most = options.batch // options.processes, max(1, TOKENS_AT_ONCE // (length * rows))
    return max(size for size in range(1, mine + 1) if mine % size == 0 and size <= most)


def precision_of(options: Training) -> str:
    """`bf16` or `fp32`."""
    if options.precision != "auto":
        return options.precision
    return "bf16" if CUDA and torch.cuda.is_bf16_supported() else "fp32"


def _arguments(work: Work) -> dict[str, Any]:
    """What both trainers are told."""
    options = work.options
    return {
        "output_dir": str(work.job.folder / "saves"),
        "max_steps": work.steps,
        "per_device_train_batch_size": work.micro_batch,
        "gradient_accumulation_steps": options.batch // options.processes // work.micro_batch,
        "learning_rate": options.learning_rate,
        "weight_decay": options.weight_decay,
        "max_grad_norm": options.clip,
        "bf16": precision_of(options) == "bf16",
        "use_cpu": not CUDA,
        "seed": work.job.seed,
        "logging_strategy": "steps",
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "save_strategy": "steps",
        "save_steps": options.checkpoint_every,
        "save_total_limit": 2,
        "report_to": "none",
        "disable_tqdm": True,
        "remove_unused_columns": False,
        "ddp_find_unused_parameters": False,
        _RECOMPUTE: options.recompute,
    }


class Told(Trainer):
    """A Trainer that shows samples in their order, at the learning rates of the house, and saves no model card."""

    work: Work
    model: PreTrainedModel

    def get_told(self, work: Work) -> None:
        """Takes what its constructor has no word for."""
        self.work = work
        options = work.options
        self.optimizer_cls_and_kwargs = (
            (AdamW, {"lr": options.learning_rate, "betas": options.betas, "eps": options.eps})
            if options.optimizer == "adamw"
            else (SGD, {"lr": options.learning_rate, "momentum": options.momentum})
        )
        self.remove_callback(PrinterCallback)

    def _get_train_sampler(self, *anything: Any) -> SequentialSampler:
        assert isinstance(self.train_dataset, InOrder)
        return SequentialSampler(self.train_dataset)

    def create_scheduler(self, num_training_steps: int, optimizer: Optimizer | None = None) -> LambdaLR:
        """The rate of each step, of which torch counts those that are done."""
        if self.lr_scheduler is None:
            steps, options = self.work.steps, self.work.options
            chosen: Any = optimizer or self.optimizer
            inner: Optimizer = getattr(chosen, "optimizer", chosen)  # accelerate's is none in torch's eyes
            self.lr_scheduler = LambdaLR(inner, lambda done: rate_of(done + 1, steps, options) / options.learning_rate)
            self._created_lr_scheduler = True
        return self.lr_scheduler


class LanguageLearner(Told):
    """Learns the next token: a mean over all learned tokens of a step, however it is split up."""

    def __init__(self, work: Work, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
        super().__init__(
            model=model,
            args=TrainingArguments(**_arguments(work)),
            data_collator=stacked,
            train_dataset=work.dataset(model),
            processing_class=tokenizer,
            compute_loss_func=_mean_nats,
        )
        self.get_told(work)

    def get_batch_samples(self, epoch_iterator: Iterator[Batch], num_batches: int, device: Any) -> tuple[list[Batch], Any]:
        """The parts of a step's batch, and how many tokens are learned in them over all processes.

        Trainer's own count takes labels to be shifted still, and misses the first of each window.
        """
        parts, _ = super().get_batch_samples(epoch_iterator, num_batches, device)
        learned = sum((part["labels"] != IGNORED).sum() for part in parts)
        count = self.accelerator.reduce(torch.as_tensor(learned, device=self.args.device), "sum")
        return parts, count.clamp_min(1)


def _mean_nats(outputs: Any, labels: Tensor, num_items_in_batch: Tensor) -> Tensor:
    return summed_nats(outputs["logits"], labels) / num_items_in_batch


class PreferenceLearner(Told, DPOTrainer):
    """TRL's DPOTrainer, fed with pairs that are tokenised already and with a reference that is reckoned once."""

    def __init__(
        self, work: Work, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, valid: ReplyPairs | None
    ) -> None:
        options = work.options
        assert isinstance(options, Dpo) and isinstance(work.source, ReplyPairs)
        self._known = _Reference(work.job)
        self._read = {"train": work.source, "valid": valid}
        arguments = DPOConfig(
            **_arguments(work),
            loss_type=[options.loss],
            beta=options.beta,
            label_smoothing=options.label_smoothing or (1e-3 if options.loss == "exo_pair" else 0.0),
            precompute_ref_log_probs=True,
            disable_dropout=options.dropout == 0,
            max_length=None,
        )
        self._at_once, self._shown = work.micro_batch, work.dataset(model)
        DPOTrainer.__init__(
            self,
            model=model,
            args=arguments,
            data_collator=Pairs(work.job.shards.eod),
            train_dataset=Dataset.from_dict({"pairs": ["ours"]}),  # it takes no other kind; see `_prepare_dataset`
            processing_class=tokenizer,
        )
        self.get_told(work)

    def _prepare_dataset(self, *anything: Any) -> InOrder:
        return self._shown  # tokenised already, and read from the shards as it is shown

    def _precompute_ref_logps(self, dataset: Any, *anything: Any) -> Any:
        """Reads what the model says before its first step, or what was kept of it."""
        kept = self._known.read()
        found = kept or {split: self._reckoned(source) for split, source in self._read.items() if source is not None}
        if kept is None and self.accelerator.is_main_process:
            self._known.write(found)
        self.accelerator.wait_for_everyone()
        for split, source in self._read.items():
            if source is not None:
                source.reference = found[split]
        return dataset

    @torch.no_grad()
    def _reckoned(self, source: ReplyPairs) -> NDArray[np.float32]:
        """The log probabilities of both replies of each pair, `[pairs, 2]`; each process reads its share."""
        known = torch.zeros(len(source), 2, device=self.args.device)
        training = self.model.training
        self.model.eval()
        mine = range(self.accelerator.process_index, len(source), self.accelerator.num_processes)
        for start in range(0, len(mine), self._at_once):
            group = list(mine[start : start + self._at_once])
            batch = self._prepare_inputs(self.data_collator([source.pair(index) for index in group]))
            known[group] = torch.stack(self.compute_ref_log_probs(self.model, batch), -1).float()
        self.model.train(training)
        whole: Tensor = self.accelerator.reduce(known, "sum")
        return whole.cpu().numpy()

    def examine(self) -> HeldOut:
        """The loss on held-out pairs, and the means of rewards and log probabilities.

        Every process reads them all: TRL takes the mean over processes of what each one reads.
        """
        source = self._read["valid"]
        if source is None:
            return HeldOut()
        self.model.eval()
        sums: dict[str, float] = {}
        for start in range(0, len(source), self._at_once):
            group = [source.pair(index) for index in range(start, min(start + self._at_once, len(source)))]
            for name, mean in self._figures_of(group).items():
                sums[name] = sums.get(name, 0.0) + mean * len(group)
        self.model.train()
        means = {name: total / len(source) for name, total in sums.items()}
        return HeldOut(means.pop("loss"), None, means)

    def _figures_of(self, group: list[Sample]) -> dict[str, float]:
        """Loss and figures, means over a group of pairs."""
        with torch.no_grad(), self.accelerator.autocast():
            loss = self.compute_loss(self.model, self._prepare_inputs(self.data_collator(group)))
        figures = {name: self._metrics["eval"][trl][-1] for trl, name in FIGURES.items()}
        self._metrics["eval"].clear()
        return {"loss": float(loss), **figures}

    def create_model_card(self, *anything: Any, **more: Any) -> None:
        """None: the folder's card is checkpoint.json."""


#: TRL's names of figures, and those that metrics.jsonl has.
FIGURES = {
    "rewards/chosen": "reward_chosen",
    "rewards/rejected": "reward_rejected",
    "rewards/margins": "reward_margin",
    "rewards/accuracies": "reward_accuracy",
    "logps/chosen": "logp_chosen",
    "logps/rejected": "logp_rejected",
}


class _Reference:
    """Where the reference's log probabilities are kept, with what tells one reference and one set of pairs from another."""

    def __init__(self, job: TrainingJob) -> None:
        assert job.parent is not None
        manifest = (job.shards.folder / "manifest.json").read_bytes()
        self._key = json.dumps([job.parent.card["weights_digest"], hashlib.sha256(manifest).hexdigest()])
        self._path: Path = job.folder / "reference.npz"

    def read(self) -> dict[str, NDArray[np.float32]] | None:
        """By split; None if they are not there, or others'."""
        if not self._path.is_file():
            return None
        with np.load(self._path) as file:
            if str(file["key"]) != self._key:
                return None
            return {name: file[name] for name in file.files if name != "key"}

    def write(self, known: dict[str, NDArray[np.float32]]) -> None:
        """Beside and renamed into place."""
        beside = self._path.with_name("reference.tmp.npz")
        np.savez(beside, allow_pickle=False, key=self._key, **known)
        beside.replace(self._path)
