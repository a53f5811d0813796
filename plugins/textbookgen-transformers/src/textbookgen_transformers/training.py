"""The stages `transformers/pretrain` and `transformers/sft`: their options, and the command that works them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from textbookgen import Artifact, Diagnostic, Estimate, Input, Job
from textbookgen.api.artifacts import TransformersCheckpoint
from textbookgen.training.options import BlendOptions, NewModelOptions, SftOptions, TrainOptions
from textbookgen_transformers.shape import problem_of


class Training(TrainOptions):
    """What every kind of training has here."""

    output: ClassVar[type[Artifact] | None] = TransformersCheckpoint
    utilisation: ClassVar[float] = 0.35  # without fused kernels
    bytes_a_parameter: ClassVar[float] = 28  # the weights, and two saves with AdamW's numbers

    dropout: float = Field(
        0.1, ge=0, lt=1, description="share of attention and residuals dropped (phi-1: 0.1); of `llama` attention only"
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="of sums; weights are kept in fp32; auto is bf16 on GPUs that have it and fp32 elsewhere"
    )

    def command(self, job: Job) -> list[str]:
        """One process alone, or several that `accelerate launch` starts."""
        start = ["train"] if self.processes == 1 else ["launch", str(self.processes)]
        return [sys.executable, "-m", f"textbookgen_transformers.{start[0]}", *start[1:], str(job.path)]

    def environment(self) -> Mapping[str, str]:
        """Besides threads: no looking for models on the internet, and one GPU for one process."""
        told = {**super().environment(), "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
        if self.processes == 1:  # transformers would spread each batch over all it sees
            told["CUDA_VISIBLE_DEVICES"] = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
        return told


class Pretrain(NewModelOptions, BlendOptions, Training):
    """Pretrains a model of transformers from nothing, on windows of a token stream.

    Architectures are PhiForCausalLM (`phi`), Phi3ForCausalLM (`phi3`), LlamaForCausalLM (`llama`), GPTNeoXForCausalLM (`neox`
    and `pythia`) and GPTNeoForCausalLM (`neo`); `phi3` and `neo` have a window.
    """

    name: ClassVar[str] = "pretrain"

    tokens: int = Field(gt=0, description="tokens to be seen; the data is gone through again as often as that takes")

    def check(self) -> Iterable[Diagnostic]:
        """Shapes that cannot be, also in transformers, and blends of what is not there."""
        yield from super().check()
        yield from self.blend_diagnostics(self.weights)
        if result := list(self.shape_diagnostics()):
            yield from result
        elif problem := problem_of(self.parts()):
            yield Diagnostic(*problem)

    def estimate(self, inputs: Mapping[str, Estimate]) -> Estimate | None:
        """Counts parameters outside the embeddings, which the vocabulary is needed for."""
        return self.estimated(self.estimated_weights(), self.tokens)


class Sft(SftOptions, Training):
    """Finetunes a model on whole documents, which do not see each other; honours the loss mask of shards that have one."""

    name: ClassVar[str] = "sft"

    checkpoint: Annotated[str, Input(TransformersCheckpoint)] = Field(
        description="stage above that trained the model with this plugin, or exported one for transformers"
    )

    def estimate(self, inputs: Mapping[str, Estimate]) -> Estimate | None:
        """The shards' tokens, as often as they are gone through."""
        return self.estimated(*self.volumes(inputs))
