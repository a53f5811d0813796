"""The stage `megatron/import`: reads a model in the format of transformers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from textbookgen import Artifact, Diagnostic, Estimate, Input, MissingRequirement
from textbookgen.api.artifacts import TransformersCheckpoint
from textbookgen_megatron.checkpoint import MegatronCheckpoint
from textbookgen_megatron.stages.conversion import Conversion


class Import(Conversion):
    """Reads a model in the format of transformers, so that it can be enlarged, finetuned, queried and compared.

    Supported are PhiForCausalLM, Phi3ForCausalLM, LlamaForCausalLM, GPTNeoXForCausalLM and GPTNeoForCausalLM, without RoPE
    scaling. Pack shards for it with its own tokenizer: `hf:FOLDER/tokenizer.json`.
    """

    name: ClassVar[str] = "import"
    output: ClassVar[type[Artifact] | None] = MegatronCheckpoint

    folder: str | None = Field(
        None, description="folder written by `save_pretrained`, with config.json, weights and tokenizer.json"
    )
    checkpoint: Annotated[str | None, Input(TransformersCheckpoint)] = Field(
        None, description="instead of `folder`: stage above that trained or exported a model in the format of transformers"
    )
    sequence_length: int | None = Field(
        None, gt=1, description="maximum sequence length; default: `max_position_embeddings` of the model"
    )

    def check(self) -> Iterable[Diagnostic]:
        """Report a missing source, and files missing from the folder."""
        if (self.folder is None) == (self.checkpoint is None):
            yield Diagnostic("folder", "exactly one of `folder` and `checkpoint` is required", "set one of them")
        folder = Path(self.folder) if self.folder is not None else None
        for name in ("config.json", "tokenizer.json"):
            if folder is not None and not (folder / name).is_file():
                yield MissingRequirement(
                    "folder", f"{self.folder} has no {name}", "use a folder written by transformers' save_pretrained"
                )

    def estimate(self, inputs: Mapping[str, Estimate]) -> Estimate | None:
        """Estimate the size on disk, from the files or from the parameters of the checkpoint."""
        if self.folder is None:
            parameters = inputs.get("checkpoint", Estimate()).parameters
            return Estimate(disk_bytes=None if parameters is None else 4 * parameters, parameters=parameters)
        sizes = [path.stat().st_size for path in Path(self.folder).glob("*.safetensors")]
        return Estimate(disk_bytes=float(sum(sizes)) * 2) if sizes else None
