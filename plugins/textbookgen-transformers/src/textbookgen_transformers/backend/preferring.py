"""TRL's DPOTrainer, fed with packed pairs, and the reference's log probabilities, which are reckoned once and kept."""

# neither TRL nor datasets carries types
# mypy: disable-error-code="misc,import-untyped,attr-defined,no-untyped-call"

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerFast
from trl import DPOConfig, DPOTrainer

from textbookgen_transformers.backend.batches import InOrder, Pairs
from textbookgen_transformers.backend.evaluation import HeldOut
from textbookgen_transformers.backend.learners import FIGURES, Told, Work, arguments_of
from textbookgen_transformers.job import TrainingJob
from textbookgen_transformers.preference import Dpo
from textbookgen_transformers.samples import ReplyPairs, Sample
from textbookgen_transformers.weights import digest


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
            **arguments_of(work),
            loss_type=list(options.losses),
            loss_weights=list(options.losses.values()),
            beta=options.beta,
            label_smoothing=options.label_smoothing or (1e-3 if "exo_pair" in options.losses else 0.0),
            precompute_ref_log_probs=True,
            disable_dropout=options.dropout == 0,
            max_length=None,
        )
        self._at_once, self._shown = work.micro_batch_size, work.dataset(model)
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
        result = kept or {split: self._reckoned(source) for split, source in self._read.items() if source is not None}
        if kept is None and self.accelerator.is_main_process:
            self._known.write(result)
        self.accelerator.wait_for_everyone()
        for split, source in self._read.items():
            if source is not None:
                source.reference = result[split]
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


class _Reference:
    """Where the reference's log probabilities are kept, with what tells one reference and one set of pairs from another."""

    def __init__(self, job: TrainingJob) -> None:
        assert job.parent is not None
        manifest = (job.shards.folder / "manifest.json").read_bytes()
        mine = job.parent.card.get("weights_digest") or digest(job.parent.folder)
        self._key = json.dumps([mine, hashlib.sha256(manifest).hexdigest()])
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
