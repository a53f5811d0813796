"""For plugin authors: `check_plugin`, a tiny corpus, and what a stage can be given in a test."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import BaseModel

from textbookgen.api.artifacts import Artifact, Documents, Part
from textbookgen.api.errors import PluginError, RunError
from textbookgen.api.files import write_frame
from textbookgen.api.hashing import document_id
from textbookgen.api.message import Message
from textbookgen.api.stage import Draw, Filter, StageInputs
from textbookgen.api.teacher import Reply
from textbookgen.recipe.plugin_manager import Plugins
from textbookgen.run.workers.context import signed
from textbookgen.run.workers.parts import aligned

HEAVY = ("litellm", "torch", "megatron", "datasketch", "sklearn", "rapidfuzz", "numba", "scipy", "transformers", "pandas")

_TEXTS = (
    "The cat sat on the mat. It was warm there.",
    "A function returns a value. Call it with an argument, and use what comes back.",
    'def double(n: int) -> int:\n    """Twice a number."""\n    return n * 2\n',
    "Water runs downhill, and so does data in a recipe.",
)


def documents(texts: Sequence[str] = _TEXTS, kind: str = "document", **columns: Sequence[Any]) -> pl.DataFrame:
    """A frame as stages are given it: these texts, with all columns that are ours and any others by name."""
    rows = pl.DataFrame(
        {"id": [document_id("testing", n, text) for n, text in enumerate(texts)], "text": list(texts), **columns}
    )
    return signed(rows, "testing-000000000000", kind)


def write_documents(folder: Path, *frames: pl.DataFrame) -> Documents:
    """Documents on disk, one part a frame, as they flow through a pipe."""
    parts = []
    for number, frame in enumerate(frames or (documents(),)):
        file = folder / f"part-{number:05d}.parquet"
        write_frame(file, frame)
        parts.append(Part(file))
    return Documents(tuple(parts))


def stage_inputs(folder: Path, plugins: Plugins | None = None, **inputs: Artifact) -> StageInputs:
    """What a stage is given: `inflow` stands for the pipe `from`, others go by their names."""
    named = {("from" if name == "inflow" else name): {name: flow} for name, flow in inputs.items()}
    own = folder / "own"
    own.mkdir(parents=True, exist_ok=True)
    return StageInputs(named, own, plugins or Plugins(), 0)


@dataclass
class ScriptedAsk:
    """An `ask` for testing generators: `answer` makes the reply from the prompt and the draw; all prompts are kept."""

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
    ) -> Reply:
        """The scripted reply."""
        text = prompt if isinstance(prompt, str) else "\n".join(f"{message.role}: {message.content}" for message in prompt)
        self.prompts.append(text)
        return Reply(self.answer(text, self.draw if draw is None else draw))

    def render(self, template: str, variables: Draw) -> str:
        """The template's name and the variables, so that a test sees what would be rendered."""
        return f"{template} {json.dumps(dict(variables), sort_keys=True, default=str)}"


def check_plugin(name: str) -> None:
    """Checks an installed plugin against the contract.

    It loads, and loading imports nothing heavy; each class has a name, a docstring, and descriptions of all options; a
    class that can be made without options can be made from its own dump; judges give one verdict a document, with all
    columns, and the same for a part as for the whole.

    Raises:
        PluginError: what is wrong, all of it at once.
    """
    plugins = Plugins()
    if name not in plugins.installed:
        raise PluginError(f"no plugin called '{name}' is installed", hint="`pip install` it into this environment")
    error = plugins.installed[name].error
    if error is not None:
        raise PluginError(f"plugin '{name}' is installed but did not load: {error!r}")
    problems = [*_heavy(name)]
    for table in (plugins.stages, plugins.teachers, plugins.samplers):
        for use, kind in table.items():
            if use.startswith(f"{name}/"):
                problems += [f"{use}: {problem}" for problem in _problems(kind)]
    if problems:
        raise PluginError("\n".join(problems), place=f"plugin '{name}'")


def _heavy(name: str) -> Iterator[str]:
    """Loads the plugin alone in a process of its own and looks at what came with it."""
    load = f"import sys; from textbookgen.recipe.plugin_manager import Plugins; Plugins(['{name}']).stages; "
    code = f"{load}print(*(name for name in {HEAVY!r} if name in sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if loaded.returncode:
        yield f"does not load alone: {loaded.stderr.strip().splitlines()[-1]}"
    for module in loaded.stdout.split():
        yield f"loading it imports {module}: import it inside the method that needs it"


def _problems(kind: type[BaseModel]) -> Iterator[str]:
    if not kind.__doc__:
        yield "has no docstring"
    for option, item in kind.model_fields.items():
        if not item.description:
            yield f"option '{option}' has no description: it is the hint of errors and the text of `stage show`"
    needed = [item for item in kind.model_fields.values() if item.is_required()]
    if needed:
        return
    made = kind()
    if kind(**json.loads(made.model_dump_json(by_alias=True, exclude_defaults=True))) != made:
        yield "cannot be made from its own dump"
    if isinstance(made, Filter) and type(made).prepare is Filter.prepare:
        yield from _verdict_problems(made)


def _verdict_problems(judge: Filter) -> Iterator[str]:
    docs = documents()
    try:
        whole = aligned(judge.decide(docs), docs, judge.name)
    except RunError as error:
        yield error.problem
        return
    halves = pl.concat([aligned(judge.decide(part), part, judge.name) for part in (docs.head(2), docs.tail(-2))])
    if not whole.select("id", "keep", "reason").equals(halves.select("id", "keep", "reason")):
        yield "gives other verdicts for a part than for the whole"
