"""TRL's DPOTrainer on packed pairs, with reference log probabilities that are computed once per job."""

# neither TRL nor datasets carries types
# mypy: disable-error-code="misc,import-untyped,attr-defined,no-untyped-call"

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from datasets import Dataset
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerFast
from trl import DPOConfig, DPOTrainer

from textbookgen.training.evaluation import HeldOut
from textbookgen.training.reference_cache import LogProbabilities, ReferenceCache
from textbookgen_transformers.backend.samples import OrderedDataset, PairCollator, PairSamples, Sample
from textbookgen_transformers.backend.setup import TrainPlan
from textbookgen_transformers.backend.trainers import METRIC_NAMES, OrderedTrainer, ordered_dataset, training_arguments
from textbookgen_transformers.stages.dpo import Dpo
from textbookgen_transformers.weight_files import weights_digest


class PackedDpoTrainer(OrderedTrainer, DPOTrainer):
    """TRL's DPOTrainer on pairs that are tokenized already.

    Args:
        plan: the plan of the job.
        options: the job's options.
        splits: pairs of the splits `train` and, if there are any, `valid`.
        model: the model, which is also the reference before its first step.
        tokenizer: the tokenizer, which TRL only saves.
    """

    def __init__(
        self,
        plan: TrainPlan,
        options: Dpo,
        splits: dict[str, PairSamples],
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerFast,
    ) -> None:
        job, parent = plan.job, plan.job.required_parent
        digest = parent.card.weights_digest or weights_digest(parent.folder)
        self._cache = ReferenceCache(job.folder, digest, job.shards.folder / job.shards.manifest.file_name)
        self._splits = splits
        self._micro_batch_size, self._ordered = plan.micro_batch_size, ordered_dataset(plan, model)
        arguments = DPOConfig(
            **training_arguments(plan),
            loss_type=list(options.loss_weights),
            loss_weights=list(options.loss_weights.values()),
            beta=options.beta,
            label_smoothing=options.label_smoothing or (1e-3 if "exo_pair" in options.loss_weights else 0.0),
            precompute_ref_log_probs=True,
            disable_dropout=options.dropout == 0,
            max_length=None,
        )
        DPOTrainer.__init__(
            self,
            model=model,
            args=arguments,
            data_collator=PairCollator(job.shards.eod),
            train_dataset=Dataset.from_dict({"pairs": ["packed"]}),  # replaced in `_prepare_dataset`: it takes no other type
            processing_class=tokenizer,
        )
        self.configure(plan)

    def _prepare_dataset(self, *arguments: Any) -> OrderedDataset:
        return self._ordered

    def _precompute_ref_logps(self, dataset: Any, *arguments: Any) -> Any:
        """Set the reference log probabilities of all pairs, from the cache or from the model before its first step."""
        logprobs = self._cache.read()
        if logprobs is None:
            logprobs = {split: self._reference_logprobs(samples) for split, samples in self._splits.items()}
            if self.accelerator.is_main_process:
                self._cache.write(logprobs)
        self.accelerator.wait_for_everyone()
        for split, samples in self._splits.items():
            samples.pairs.reference = logprobs[split]
        return dataset

    @torch.no_grad()
    def _reference_logprobs(self, samples: PairSamples) -> LogProbabilities:
        """Return the log probabilities of both replies of each pair, `[pairs, 2]`; each process computes its share."""
        logprobs = torch.zeros(len(samples), 2, device=self.args.device)
        training = self.model.training
        self.model.eval()
        share = range(self.accelerator.process_index, len(samples), self.accelerator.num_processes)
        for start in range(0, len(share), self._micro_batch_size):
            group = list(share[start : start + self._micro_batch_size])
            batch = self._prepare_inputs(self.data_collator([samples.pair(index) for index in group]))
            logprobs[group] = torch.stack(self.compute_ref_log_probs(self.model, batch), -1).float()
        self.model.train(training)
        total: Tensor = self.accelerator.reduce(logprobs, "sum")
        return np.asarray(total.cpu().numpy(), np.float32)

    def evaluate_pairs(self) -> HeldOut:
        """Return loss, rewards and log probabilities on held-out pairs.

        Every process reads all pairs, since TRL averages over the processes.
        """
        samples = self._splits.get("valid")
        if samples is None:
            return HeldOut()
        self.model.eval()
        sums: dict[str, float] = {}
        for start in range(0, len(samples), self._micro_batch_size):
            group = [samples.pair(index) for index in range(start, min(start + self._micro_batch_size, len(samples)))]
            for name, mean in self._metrics_of(group).items():
                sums[name] = sums.get(name, 0.0) + mean * len(group)
        self.model.train()
        means = {name: total / len(samples) for name, total in sums.items()}
        return HeldOut(means.pop("loss"), None, means)

    def _metrics_of(self, group: list[Sample]) -> dict[str, float]:
        """Return loss and metrics, means over a group of pairs."""
        with torch.no_grad(), self.accelerator.autocast():
            loss = self.compute_loss(self.model, self._prepare_inputs(self.data_collator(group)))
        metrics = {name: self._metrics["eval"][trl][-1] for trl, name in METRIC_NAMES.items()}
        self._metrics["eval"].clear()
        return {"loss": float(loss), **metrics}

    def create_model_card(self, *arguments: Any, **keywords: Any) -> None:
        """Write no model card: the folder's card is checkpoint.json."""
