"""Transformers' Trainer with the sample order, learning rates and loss of this project."""

# transformers' types are partial
# mypy: disable-error-code="misc,no-untyped-call"

from __future__ import annotations

from collections.abc import Iterator, Sized
from typing import Any, cast

import torch
from torch import Tensor
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import SequentialSampler
from transformers import PreTrainedModel, PreTrainedTokenizerFast, Trainer, TrainingArguments
from transformers.trainer_callback import PrinterCallback

from textbookgen_transformers.backend.evaluation import summed_nll
from textbookgen_transformers.backend.samples import IGNORED, Batch, OrderedDataset, stack
from textbookgen_transformers.backend.schedule import learning_rate
from textbookgen_transformers.backend.setup import CUDA, TrainPlan, resolve_precision

#: The argument for activation checkpointing, which transformers 5 renamed.
_ACTIVATION_CHECKPOINTING = next(
    name for name in ("activation_checkpointing", "gradient_checkpointing") if name in TrainingArguments.__dataclass_fields__
)

#: TRL's names of metrics, and those in metrics.jsonl.
METRIC_NAMES = {
    "rewards/chosen": "reward_chosen",
    "rewards/rejected": "reward_rejected",
    "rewards/margins": "reward_margin",
    "rewards/accuracies": "reward_accuracy",
    "logps/chosen": "logp_chosen",
    "logps/rejected": "logp_rejected",
}


def ordered_dataset(plan: TrainPlan, model: PreTrainedModel) -> OrderedDataset:
    """Return all samples of the run, in order."""
    return OrderedDataset(plan.source, plan.steps * plan.options.batch_size, model.config.vocab_size)


def training_arguments(plan: TrainPlan) -> dict[str, Any]:
    """Return the arguments that all trainers share."""
    options = plan.options
    return {
        "output_dir": str(plan.job.folder / "saves"),
        "max_steps": plan.steps,
        "per_device_train_batch_size": plan.micro_batch_size,
        "gradient_accumulation_steps": options.batch_size // options.processes // plan.micro_batch_size,
        "learning_rate": options.learning_rate,
        "weight_decay": options.weight_decay,
        "max_grad_norm": options.max_grad_norm,
        "bf16": resolve_precision(options) == "bf16",
        "use_cpu": not CUDA,
        "seed": plan.job.seed,
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
        _ACTIVATION_CHECKPOINTING: options.activation_checkpointing,
    }


class OrderedTrainer(Trainer):
    """A Trainer that shows samples in their order, at the learning rates of the plan."""

    plan: TrainPlan
    model: PreTrainedModel

    def configure(self, plan: TrainPlan) -> None:
        """Set what Trainer's constructor has no argument for."""
        self.plan = plan
        options = plan.options
        self.optimizer_cls_and_kwargs = (
            (AdamW, {"lr": options.learning_rate, "betas": options.betas, "eps": options.eps})
            if options.optimizer == "adamw"
            else (SGD, {"lr": options.learning_rate, "momentum": options.momentum})
        )
        self.remove_callback(PrinterCallback)

    def _get_train_sampler(self, *arguments: Any) -> SequentialSampler:
        return SequentialSampler(cast("Sized", self.train_dataset))

    def create_scheduler(self, num_training_steps: int, optimizer: Optimizer | None = None) -> LambdaLR:
        """Return the schedule of learning rates; torch counts the steps that are done."""
        if self.lr_scheduler is None:
            steps, options = self.plan.steps, self.plan.options
            chosen: Any = optimizer or self.optimizer
            inner: Optimizer = getattr(chosen, "optimizer", chosen)  # torch does not accept accelerate's wrapper
            self.lr_scheduler = LambdaLR(inner, lambda done: learning_rate(done + 1, steps, options) / options.learning_rate)
            self._created_lr_scheduler = True
        return self.lr_scheduler


class LanguageModelTrainer(OrderedTrainer):
    """Next-token prediction; the loss is a mean over all tokens of a step, however it is divided."""

    def __init__(self, plan: TrainPlan, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
        super().__init__(
            model=model,
            args=TrainingArguments(**training_arguments(plan)),
            data_collator=stack,
            train_dataset=ordered_dataset(plan, model),
            processing_class=tokenizer,
            compute_loss_func=_mean_nll,
        )
        self.configure(plan)

    def get_batch_samples(self, epoch_iterator: Iterator[Batch], num_batches: int, device: Any) -> tuple[list[Batch], Any]:
        """Return the micro-batches of a step, and the number of tokens in the loss over all processes.

        Trainer's own count assumes that labels are still to be shifted, and misses the first of each window.
        """
        batches, _ = super().get_batch_samples(epoch_iterator, num_batches, device)
        tokens = sum((batch["labels"] != IGNORED).sum() for batch in batches)
        count = self.accelerator.reduce(torch.as_tensor(tokens, device=self.args.device), "sum")
        return batches, count.clamp_min(1)


def _mean_nll(outputs: Any, labels: Tensor, num_items_in_batch: Tensor) -> Tensor:
    return summed_nll(outputs["logits"], labels) / num_items_in_batch
