"""textbookgen: train small language models on synthetic textbook-quality data, from one recipe.

`import textbookgen as tg` provides the names that plugins and notebooks use most. Each is imported on first use, so importing
the package costs nothing. Everything else that a plugin may import is in `textbookgen.api` and `textbookgen.training`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from textbookgen.api.annotations import Filters, Input, Labels, Runtime, Template
    from textbookgen.api.artifacts import (
        Artifact,
        Chats,
        Checkpoint,
        Documents,
        Pairs,
        Report,
        Table,
        TokenShards,
    )
    from textbookgen.api.benchmark import Benchmark, BenchmarkItem, ChoiceItem
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
    from textbookgen.api.generator import Ask, Draw, Generator
    from textbookgen.api.hashing import document_id
    from textbookgen.api.hookspecs import hookimpl
    from textbookgen.api.message import Message
    from textbookgen.api.model import Model
    from textbookgen.api.sampler import AcceptedStats, Sampler
    from textbookgen.api.stage import (
        CorpusFilter,
        Estimate,
        Evaluator,
        Filter,
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
    from textbookgen.run.api import RunResult, load_recipe, run_recipe

__version__ = "0.1.0"

__all__ = [
    "AcceptedStats",
    "Artifact",
    "Ask",
    "Benchmark",
    "BenchmarkItem",
    "Chats",
    "Checkpoint",
    "ChoiceItem",
    "CorpusFilter",
    "Diagnostic",
    "Documents",
    "Draw",
    "Estimate",
    "Evaluator",
    "Filter",
    "Filters",
    "Generator",
    "Input",
    "Job",
    "Labels",
    "Message",
    "MissingRequirement",
    "Model",
    "Packer",
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
    "RunResult",
    "Runtime",
    "Sampler",
    "Source",
    "Stage",
    "StageInputs",
    "Table",
    "Teacher",
    "TeacherBusy",
    "Template",
    "TextbookgenError",
    "TokenShards",
    "Trainer",
    "TrainerError",
    "Transform",
    "UnusableReply",
    "document_id",
    "hookimpl",
    "load_recipe",
    "run_recipe",
]

#: The public names by the module that defines them.
_MODULES = {
    "api.annotations": "Filters Input Labels Runtime Template",
    "api.artifacts": "Artifact Chats Checkpoint Documents Pairs Report Table TokenShards",
    "api.benchmark": "Benchmark BenchmarkItem ChoiceItem",
    "api.errors": "Diagnostic MissingRequirement PluginError RecipeError RequestRefused RunError TeacherBusy TextbookgenError "
    "TrainerError UnusableReply",
    "api.hashing": "document_id",
    "api.hookspecs": "hookimpl",
    "api.message": "Message",
    "api.model": "Model",
    "api.sampler": "AcceptedStats Sampler",
    "api.generator": "Ask Draw Generator",
    "api.stage": "CorpusFilter Estimate Evaluator Filter Job Packer Resolver Source Stage StageInputs Trainer Transform",
    "api.teacher": "Price Reply Request Teacher",
    "run.api": "RunResult load_recipe run_recipe",
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
