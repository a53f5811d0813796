"""textbookgen: small language models trained on synthetic data that is better than the web.

`import textbookgen as tg` gives plugin authors and notebooks the public names below. Each is imported when it is first used,
so that importing the package alone costs nothing. Everything else a plugin may import is in `textbookgen.api` and
`textbookgen.training`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from textbookgen.api.annotations import Filters, Input, Label, Labels, Runtime, Template
    from textbookgen.api.artifacts import (
        Artifact,
        Chats,
        Checkpoint,
        Documents,
        Pairs,
        PairShards,
        Report,
        Shards,
        Table,
        TokenShards,
        TrainedTokenizer,
    )
    from textbookgen.api.benchmark import Benchmark, BenchmarkItem
    from textbookgen.api.errors import (
        Diagnostic,
        MissingRequirement,
        PluginError,
        RecipeError,
        RequestRefused,
        RunError,
        TeacherBusy,
        TextbookgenError,
        TrainerError,
        UnusableReply,
    )
    from textbookgen.api.executor import Executor
    from textbookgen.api.hashing import document_id
    from textbookgen.api.hookspecs import hookimpl
    from textbookgen.api.message import Message
    from textbookgen.api.model import Model
    from textbookgen.api.sampler import AcceptedStats, Grid, Sampler
    from textbookgen.api.stage import (
        Ask,
        CorpusFilter,
        Draw,
        Estimate,
        Evaluator,
        Filter,
        Generator,
        Job,
        Packer,
        Resolver,
        Source,
        Stage,
        StageInputs,
        Trainer,
        Transform,
    )
    from textbookgen.api.teacher import Price, Reply, Request, Teacher
    from textbookgen.api.tokenizer import Tokenizer

__version__ = "0.1.0"

__all__ = [
    "AcceptedStats",
    "Artifact",
    "Ask",
    "Benchmark",
    "BenchmarkItem",
    "Chats",
    "Checkpoint",
    "CorpusFilter",
    "Diagnostic",
    "Documents",
    "Draw",
    "Estimate",
    "Evaluator",
    "Executor",
    "Filter",
    "Filters",
    "Generator",
    "Grid",
    "Input",
    "Job",
    "Label",
    "Labels",
    "Message",
    "MissingRequirement",
    "Model",
    "Packer",
    "PairShards",
    "Pairs",
    "PluginError",
    "Price",
    "RecipeError",
    "Reply",
    "Report",
    "Request",
    "RequestRefused",
    "Resolver",
    "RunError",
    "Runtime",
    "Sampler",
    "Shards",
    "Source",
    "Stage",
    "StageInputs",
    "Table",
    "Teacher",
    "TeacherBusy",
    "Template",
    "TextbookgenError",
    "TokenShards",
    "Tokenizer",
    "TrainedTokenizer",
    "Trainer",
    "TrainerError",
    "Transform",
    "UnusableReply",
    "document_id",
    "hookimpl",
]

#: The modules that define the public names.
_MODULES = {
    "api.annotations": "Filters Input Label Labels Runtime Template",
    "api.artifacts": "Artifact Chats Checkpoint Documents PairShards Pairs Report Shards Table TokenShards TrainedTokenizer",
    "api.benchmark": "Benchmark BenchmarkItem",
    "api.errors": "Diagnostic MissingRequirement PluginError RecipeError RequestRefused RunError TeacherBusy TextbookgenError TrainerError UnusableReply",
    "api.executor": "Executor",
    "api.hashing": "document_id",
    "api.hookspecs": "hookimpl",
    "api.message": "Message",
    "api.model": "Model",
    "api.sampler": "AcceptedStats Grid Sampler",
    "api.stage": "Ask CorpusFilter Draw Estimate Evaluator Filter Generator Job Packer Resolver Source Stage StageInputs Trainer Transform",
    "api.teacher": "Price Reply Request Teacher",
    "api.tokenizer": "Tokenizer",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use."""
    for module, names in _MODULES.items():
        if name in names.split():
            value = globals()[name] = getattr(import_module(f"textbookgen.{module}"), name)
            return value
    raise AttributeError(f"module 'textbookgen' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
