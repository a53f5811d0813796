"""The plan of a recipe: its steps in order, with validated options and resolved inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from pydantic import BaseModel

from textbookgen.api.artifacts import Artifact
from textbookgen.api.errors import Diagnostic, RecipeError
from textbookgen.api.generator import Generator
from textbookgen.api.grader import Grader
from textbookgen.api.sampler import Sampler
from textbookgen.api.stage import Evaluator, Filter, Packer, Resolver, Stage, Trainer
from textbookgen.api.teacher import Teacher
from textbookgen.recipe.parser import Recipe
from textbookgen.recipe.prompts import Prompts

Options = TypeVar("Options", bound=BaseModel, covariant=True)


@dataclass(frozen=True)
class Component(Generic[Options]):
    """A teacher, sampler or filter as the recipe configures it: its label, the name it is used by, and its options."""

    label: str
    use: str
    options: Options


@dataclass(frozen=True)
class PlannedFilter(Component[Filter]):
    """A filter of a generator's `accept`; a grader has the teacher that it asks."""

    teacher: Component[Teacher] | None = None


@dataclass(frozen=True, kw_only=True)
class PlannedStep:
    """One stage of a recipe: its options, inputs and output type, and the fingerprint that identifies its output.

    `inputs` maps each input option, as the recipe calls it, to the labels of earlier stages; a sampler or teacher that reads
    stages adds the inputs `sampler` and `teacher`, the teacher of filter N in `accept` adds `accept.N`, and a teacher that an
    evaluator asks `teacher.LABEL`. `limit` is the largest number of documents that a source reads; `asked` has the teachers
    of an evaluator.
    """

    label: str
    use: str
    stage: Stage
    inputs: Mapping[str, tuple[str, ...]]
    output: type[Artifact]
    fingerprint: str
    release: str  # the distribution and version that provides the stage
    seed: int
    limit: int | None = None
    teacher: Component[Teacher] | None = None
    sampler: Component[Sampler] | None = None
    filters: tuple[PlannedFilter, ...] = field(default=())
    asked: tuple[Component[Teacher], ...] = ()

    @property
    def address(self) -> str:
        """The name of the step's folder: the label and the start of the fingerprint."""
        return f"{self.label}-{self.fingerprint[:12]}"


@dataclass(frozen=True, kw_only=True)
class GeneratorStep(PlannedStep):
    """The step of a generator, which always has a teacher."""

    stage: Generator
    teacher: Component[Teacher]

    @property
    def rejects(self) -> bool:
        """Whether a document can be rejected; if not, every one counts and there are no verdicts."""
        several = not self.stage.inputs and self.stage.documents_per_draw() > 1
        return bool(self.stage.accept) or self.stage.target is not None or several


@dataclass(frozen=True, kw_only=True)
class GraderStep(PlannedStep):
    """The step of a grader, which always has a teacher."""

    stage: Grader
    teacher: Component[Teacher]


@dataclass(frozen=True)
class Plan:
    """A valid recipe, ready to run unless `missing_requirements` (a key, a library, a file) says otherwise.

    `resolver` opens what the options name.
    """

    recipe: Recipe
    steps: tuple[PlannedStep, ...]
    prompts: Prompts
    resolver: Resolver
    missing_requirements: tuple[Diagnostic, ...] = ()

    def until(self, label: str) -> Plan:
        """Return the plan up to and including this stage.

        Raises:
            RecipeError: the recipe has no such stage.
        """
        labels = [step.label for step in self.steps]
        if label not in labels:
            raise RecipeError(
                [Diagnostic(f"--until {label}", "the recipe has no such stage", f"the stages are {', '.join(labels)}")]
            )
        return replace(self, steps=self.steps[: labels.index(label) + 1])

    def before_packing(self) -> Plan:
        """Return the plan up to the first stage that packs, trains or evaluates: the part that makes the corpus."""
        end = next(
            (at for at, step in enumerate(self.steps) if isinstance(step.stage, Packer | Trainer | Evaluator)), len(self.steps)
        )
        return replace(self, steps=self.steps[:end])
