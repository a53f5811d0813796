"""Tools for testing plugins: small corpora, the inputs of a stage, a scripted teacher, and a check of the plugin contract."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import BaseModel, ValidationError

from textbookgen.api.artifacts import Artifact, Documents, Part
from textbookgen.api.errors import PluginError, RunError
from textbookgen.api.files import write_frame
from textbookgen.api.generator import Draw
from textbookgen.api.hashing import document_id
from textbookgen.api.message import Message
from textbookgen.api.stage import Filter, StageInputs
from textbookgen.api.teacher import Reply
from textbookgen.recipe.plugin_manager import Plugins
from textbookgen.run.workers.context import with_standard_columns
from textbookgen.run.workers.parts import align_verdicts

#: Libraries that importing a plugin must not import.
HEAVY = ("litellm", "torch", "megatron", "datasketch", "sklearn", "rapidfuzz", "numba", "scipy", "transformers", "pandas")

_TEXTS = (
    "The cat sat on the mat. It was warm there.",
    "A function returns a value. Call it with an argument, and use the result.",
    'def double(n: int) -> int:\n    """Twice a number."""\n    return n * 2\n',
    "Water flows downhill, and so does data in a recipe.",
)


def documents(texts: Sequence[str] = _TEXTS, kind: str = "document", **columns: Sequence[Any]) -> pl.DataFrame:
    """Return a frame as stages receive it, with all standard columns.

    Args:
        texts: one text per row.
        kind: the kind of all documents.
        columns: further columns by name, or standard columns to replace.
    """
    ids = [document_id("testing", n, text) for n, text in enumerate(texts)]
    types = {"id": pl.String, "text": pl.String}
    rows = pl.DataFrame({"id": ids, "text": list(texts), **columns}, schema_overrides=types)
    return with_standard_columns(rows, "testing-000000000000", kind)


def write_documents(folder: Path, *frames: pl.DataFrame) -> Documents:
    """Write frames as the parts of a table, and return it.

    Args:
        folder: where the parts are written.
        frames: one frame per part; four short documents unless given.
    """
    parts = []
    for number, frame in enumerate(frames or (documents(),)):
        file = folder / f"part-{number:05d}.parquet"
        write_frame(file, frame)
        parts.append(Part(file))
    return Documents(tuple(parts))


def stage_inputs(folder: Path, plugins: Plugins | None = None, *, seed: int = 0, **inputs: Artifact) -> StageInputs:
    """Return the inputs of a stage.

    Args:
        folder: a folder for the test; the step's own folder is created inside it.
        plugins: resolves names; all installed plugins unless given.
        seed: the seed of the recipe.
        inputs: artifacts by option; write `from_` for the option `from`. The label of each is the name of its option.
    """
    by_option = {name.removesuffix("_"): {name.removesuffix("_"): artifact} for name, artifact in inputs.items()}
    own = folder / "own"
    own.mkdir(parents=True, exist_ok=True)
    return StageInputs(by_option, own, plugins or Plugins(), seed)


@dataclass
class ScriptedAsk:
    """An `Ask` for testing generators without a teacher.

    Attributes:
        answer: returns the reply to a prompt and the draw.
        draw: the draw for requests that pass none.
        prompts: every prompt so far; the messages of a conversation are lines `ROLE: CONTENT`.
    """

    answer: Callable[[str, Draw], str]
    draw: Draw = field(default_factory=dict)
    prompts: list[str] = field(default_factory=list)

    async def __call__(
        self,
        prompt: str | Sequence[Message],
        *,
        draw: Draw | None = None,
        task: str | None = None,
        sample: int | None = None,
        schema: Mapping[str, Any] | None = None,
        temperature: float | None = None,
    ) -> Reply:
        """Return the scripted reply."""
        text = prompt if isinstance(prompt, str) else "\n".join(f"{message.role}: {message.content}" for message in prompt)
        self.prompts.append(text)
        return Reply(self.answer(text, self.draw if draw is None else draw))

    def render(self, template: str, variables: Draw) -> str:
        """Return the name of the template and the variables as JSON, so that a test sees what would be rendered."""
        return f"{template} {json.dumps(dict(variables), sort_keys=True, default=str)}"


def check_plugin(name: str) -> None:
    """Check an installed plugin against the plugin contract.

    - It loads in a separate process, without importing a heavy library.
    - Every class has a docstring, and every option a description.
    - A class without required options survives being dumped and validated again, and pickling.
    - A filter returns one verdict per document, and the same verdicts for a part of a frame as for the whole.

    Args:
        name: the name of the plugin's entry point.

    Raises:
        PluginError: everything that is wrong.
    """
    plugins = Plugins()
    if name not in plugins.installed:
        raise PluginError(f"no plugin called '{name}' is installed", hint="`pip install` it into this environment")
    error = plugins.installed[name].error
    if error is not None:
        raise PluginError(f"plugin '{name}' is installed but failed to load: {error!r}")
    problems = [*_check_import(name)]
    for table in (plugins.stages, plugins.teachers, plugins.samplers):
        for use, kind in table.items():
            if use.startswith(f"{name}/"):
                problems += [f"{use}: {problem}" for problem in _check_class(kind)]
    if problems:
        raise PluginError("\n".join(problems), place=f"plugin '{name}'")


def _check_import(name: str) -> Iterator[str]:
    """Load the plugin alone in a new process, and report an error or heavy imports."""
    load = f"from textbookgen.recipe.plugin_manager import Plugins; p = Plugins(['{name}']); p.stages, p.teachers, p.samplers"
    code = f"import sys; {load}; print(*(name for name in {HEAVY!r} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if done.returncode:
        yield f"fails to load without other plugins: {done.stderr.strip().splitlines()[-1]}"
    for module in done.stdout.split():
        yield f"loading it imports {module}: import it inside the method that needs it"


def _check_class(kind: type[BaseModel]) -> Iterator[str]:
    if not kind.__doc__:
        yield "has no docstring"
    for option, info in kind.model_fields.items():
        if not info.description:
            yield f"option '{option}' has no description, which errors and `stage show` display"
    try:
        instance = kind()
    except ValidationError:  # it has required options
        return
    if kind(**json.loads(instance.model_dump_json(by_alias=True, exclude_defaults=True))) != instance:
        yield "cannot be created from its own dump"
    try:
        pickle.dumps(instance)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        yield f"cannot be pickled: {error}"
    if isinstance(instance, Filter) and type(instance).prepare is Filter.prepare:
        yield from _check_verdicts(instance)


def _check_verdicts(stage: Filter) -> Iterator[str]:
    docs = documents()
    try:
        verdicts = align_verdicts(stage.decide(docs), docs, stage.name)
    except RunError as error:
        yield error.problem
        return
    parts = [docs.head(2), docs.tail(-2)]
    by_part = pl.concat([align_verdicts(stage.decide(part), part, stage.name) for part in parts])
    if not verdicts.select("id", "keep", "reason").equals(by_part.select("id", "keep", "reason")):
        yield "returns other verdicts for a part than for the whole: a verdict must depend on its document only"
