"""The stages `megatron/export` and `megatron/import`: models to and from the format of transformers."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from textbookgen import Artifact, Diagnostic, Estimate, Input, Job, MissingRequirement, Runtime, TokenShards, Trainer
from textbookgen.api.artifacts import TransformersCheckpoint
from textbookgen_megatron.checkpoint import MegatronCheckpoint


class _Exchange(Trainer):
    """What is done at once, by a process with torch."""

    def command(self, job: Job) -> list[str]:
        """The process that converts."""
        return [sys.executable, "-m", "textbookgen_megatron.exchange.work", str(job.path)]


class Export(_Exchange):
    """Writes a trained model as transformers, vLLM and llama.cpp's converter read it: weights, configuration, tokenizer.

    phi shapes become PhiForCausalLM, phi3 Phi3ForCausalLM, llama LlamaForCausalLM, neox and pythia GPTNeoXForCausalLM, neo
    GPTNeoForCausalLM. The numbers are the same; the vocabulary is cut to its own size.
    """

    name: ClassVar[str] = "export"
    version: ClassVar[int] = 2
    output: ClassVar[type[Artifact] | None] = TransformersCheckpoint

    checkpoint: Annotated[str, Input(MegatronCheckpoint)] = Field(description="stage above that trained the model")
    dtype: Literal["float32", "bfloat16", "float16"] = Field("float32", description="type of the weights that are written")
    quantise: Literal["none", "int8", "int4"] = Field(
        "none",
        description="round matrices of layers to so many bits, in groups with a scale each, and measure what that costs; "
        "weights.quantised.safetensors beside the others",
    )
    group: int = Field(64, gt=1, description="with `quantise`: numbers of a row that share a scale")
    shards: Annotated[str | None, Input(TokenShards)] = Field(
        None, description="with `quantise`: stage above that packed the data on whose held-out part the cost is measured"
    )
    validation_tokens: Annotated[int, Runtime] = Field(
        100_000, gt=0, description="with `quantise`: most held-out tokens read to measure"
    )

    def check(self) -> Iterable[Diagnostic]:
        """What rounding needs."""
        if self.quantise != "none" and self.shards is None:
            yield Diagnostic("shards", "is missing: on its held-out part the cost of rounding is measured", "name the stage")

    def estimate(self, inputs: Mapping[str, Estimate]) -> Estimate | None:
        """As many bytes as the weights have."""
        parameters = inputs.get("checkpoint", Estimate()).parameters
        width = 4 if self.dtype == "float32" else 2
        return Estimate(disk_bytes=None if parameters is None else width * parameters, parameters=parameters)


class Import(_Exchange):
    """Reads a model in transformers' format, so that it can be grown, finetuned, asked and compared.

    What comes in: PhiForCausalLM, Phi3ForCausalLM, LlamaForCausalLM, GPTNeoXForCausalLM and GPTNeoForCausalLM, without
    scaled rotary positions. Shards for it are packed with its own tokenizer: `hf:FOLDER/tokenizer.json`.
    """

    name: ClassVar[str] = "import"
    output: ClassVar[type[Artifact] | None] = MegatronCheckpoint

    folder: str | None = Field(None, description="folder as transformers' save_pretrained writes it, with a tokenizer.json")
    checkpoint: Annotated[str | None, Input(TransformersCheckpoint)] = Field(
        None, description="instead of `folder`: stage above that trained or wrote a model in transformers' format"
    )
    sequence_length: int | None = Field(None, gt=1, description="tokens it reads at once; as configured unless given")

    def check(self) -> Iterable[Diagnostic]:
        """Folders that are not there."""
        if (self.folder is None) == (self.checkpoint is None):
            yield Diagnostic("folder", "either `folder` or `checkpoint` must be given", "where is the model?")
        folder = Path(self.folder) if self.folder is not None else None
        for name in ("config.json", "tokenizer.json"):
            if folder is not None and not (folder / name).is_file():
                yield MissingRequirement(
                    "folder", f"there is no {name} in {self.folder}", "give a folder that save_pretrained wrote"
                )

    def estimate(self, inputs: Mapping[str, Estimate]) -> Estimate | None:
        """As large as the files are."""
        if self.folder is None:
            parameters = inputs.get("checkpoint", Estimate()).parameters
            return Estimate(disk_bytes=None if parameters is None else 4 * parameters, parameters=parameters)
        result = [path.stat().st_size for path in Path(self.folder).glob("*.safetensors")]
        return Estimate(disk_bytes=float(sum(result)) * 2) if result else None
