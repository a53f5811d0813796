"""Transformers' Trainer, told what to show, when, and at what learning rate; the rest is its own."""

# transformers' types are partial
# mypy: disable-error-code="misc,no-untyped-call"

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import SequentialSampler
from transformers import PreTrainedModel, PreTrainedTokenizerFast, Trainer, TrainingArguments
from transformers.trainer_callback import PrinterCallback

from textbookgen_transformers.backend.batches import Batch, InOrder, stacked
from textbookgen_transformers.backend.evaluation import summed_nats
from textbookgen_transformers.backend.schedule import rate_of
from textbookgen_transformers.job import TrainingJob
from textbookgen_transformers.samples import IGNORED, Source
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
    micro_batch_size: int

    @property
    def options(self) -> Training:
        """The job's options."""
        return self.job.options

    def dataset(self, model: PreTrainedModel) -> InOrder:
        """All samples of the run, in order."""
        return InOrder(self.source, self.steps * self.options.batch_size, model.config.vocab_size)


def micro_batch_of(options: Training, length: int, rows: int = 1) -> int:
    """Samples a process works at once: what was asked, or the most that divides its share and is not too much."""
    if options.micro_batch_size:
        return options.micro_batch_size
    mine, most = options.batch_size // options.processes, max(1, TOKENS_AT_ONCE // (length * rows))
    return max(size for size in range(1, mine + 1) if mine % size == 0 and size <= most)


def precision_of(options: Training) -> str:
    """`bf16` or `fp32`."""
    if options.precision != "auto":
        return options.precision
    return "bf16" if CUDA and torch.cuda.is_bf16_supported() else "fp32"


def arguments_of(work: Work) -> dict[str, Any]:
    """What both trainers are told."""
    options = work.options
    return {
        "output_dir": str(work.job.folder / "saves"),
        "max_steps": work.steps,
        "per_device_train_batch_size": work.micro_batch_size,
        "gradient_accumulation_steps": options.batch_size // options.processes // work.micro_batch_size,
        "learning_rate": options.learning_rate,
        "weight_decay": options.weight_decay,
        "max_grad_norm": options.max_grad_norm,
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
        "dataloader_pin_memory": CUDA,
        "remove_unused_columns": False,
        "ddp_find_unused_parameters": False,
        _RECOMPUTE: options.activation_checkpointing,
    }


#: TRL's names of figures, and those that metrics.jsonl has.
FIGURES = {
    "rewards/chosen": "reward_chosen",
    "rewards/rejected": "reward_rejected",
    "rewards/margins": "reward_margin",
    "rewards/accuracies": "reward_accuracy",
    "logps/chosen": "logp_chosen",
    "logps/rejected": "logp_rejected",
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
            args=TrainingArguments(**arguments_of(work)),
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
