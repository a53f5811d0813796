"""A Recipe and the plugins to a Plan: classes found, options checked, pipes fitted, fingerprints taken."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from random import Random
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from textbookgen.api.annotations import FiltersOption, Input, Label, RuntimeOption, TemplateOption, option_name, options_with
from textbookgen.api.artifacts import Artifact, Documents
from textbookgen.api.errors import Diagnostic, MissingRequirement, PluginError, RecipeError, TextbookgenError
from textbookgen.api.sampler import KNOWN, AcceptedStats, Sampler
from textbookgen.api.stage import Evaluator, Filter, Generator, Packer, Source, Stage, Trainer
from textbookgen.api.teacher import Teacher
from textbookgen.recipe.parser import Entry, Recipe, in_file_order
from textbookgen.recipe.plugin_manager import Plugins
from textbookgen.recipe.prompts import Prompts

Options = TypeVar("Options", bound=BaseModel)


@dataclass(frozen=True)
class Bound(Generic[Options]):
    """A teacher, sampler or judge as a recipe set it up: what it used, the options, and what identifies it."""

    label: str
    use: str
    options: Options

    @property
    def identity(self) -> dict[str, Any]:
        """What makes its answers what they are."""
        return {"use": self.use, "version": getattr(self.options, "version", 1), "options": fingerprinted_options(self.options)}


@dataclass(frozen=True)
class PlannedStep:
    """One stage of a recipe, fitted: where its pipes come from, what flows out, and what identifies it."""

    label: str
    use: str
    stage: Stage
    inputs: Mapping[str, tuple[str, ...]]  # option, as the recipe calls it, to labels above
    output: type[Artifact]
    fingerprint: str
    release: str
    seed: int
    limit: int | None = None
    teacher: Bound[Teacher] | None = None
    sampler: Bound[Sampler] | None = None
    accept: tuple[Bound[Filter], ...] = ()

    @property
    def address(self) -> str:
        """The name of its folder: what made it is its address."""
        return f"{self.label}-{self.fingerprint[:12]}"


@dataclass(frozen=True)
class Plan:
    """A recipe whose every option is known to be right and whose pipes fit."""

    recipe: Recipe
    steps: tuple[PlannedStep, ...]
    prompts: Prompts
    missing_requirements: tuple[Diagnostic, ...] = ()  # what keeps it from running, though it is well written

    def until(self, label: str) -> Plan:
        """The plan up to this stage.

        Raises:
            RecipeError: there is no such stage.
        """
        labels = [step.label for step in self.steps]
        if label not in labels:
            raise RecipeError(
                [Diagnostic(f"--until {label}", "the recipe has no such stage", f"there are {', '.join(labels)}")]
            )
        return replace(self, steps=self.steps[: labels.index(label) + 1])

    def before_packing(self) -> Plan:
        """The plan up to the first stage that packs, trains or measures: what there is to read."""
        cut = next(
            (at for at, step in enumerate(self.steps) if isinstance(step.stage, Packer | Trainer | Evaluator)), len(self.steps)
        )
        return replace(self, steps=self.steps[:cut])


def make_plan(recipe: Recipe, plugins: Plugins, *, limit: int | None = None) -> Plan:
    """Fits a recipe; with `limit`, springs give at most so many documents.

    Raises:
        RecipeError: everything that is wrong with it, in file order.
    """
    return _Planner(recipe, plugins, limit).plan()


def fingerprinted_options(options: BaseModel) -> dict[str, Any]:
    """The options that are part of identity: neither placement nor the labels of other tables."""
    kind = type(options)
    left_out = {name for mark in (RuntimeOption, Label) for name, _ in options_with(kind, mark)}
    left_out |= {name for name, input_option in options_with(kind, Input) if not input_option.or_name} | {
        name for name, _ in options_with(kind, FiltersOption)
    }
    return options.model_dump(mode="json", by_alias=True, exclude=left_out)


def fingerprint(facts: Mapping[str, Any]) -> str:
    """SHA-256 of the facts as canonical JSON.

    Raises:
        ValueError: a fact has no stable JSON.
    """
    return hashlib.sha256(json.dumps(facts, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()).hexdigest()


@dataclass
class _Planner:
    """Walks a recipe from the top, gathering steps and complaints."""

    recipe: Recipe
    plugins: Plugins
    limit: int | None
    diagnostics: list[Diagnostic] = field(default_factory=list)
    missing_requirements: list[Diagnostic] = field(default_factory=list)
    steps: dict[str, PlannedStep] = field(default_factory=dict)
    known: set[str] = field(default_factory=set)

    def plan(self) -> Plan:
        recipe = self.recipe
        self.prompts = Prompts([recipe.path.parent / "prompts", recipe.path.parent, *self.plugins.prompt_folders()])
        self.teachers = {entry.label: self._bound(entry) for entry in recipe.of("teacher")}
        known = KNOWN.set(self.plugins.samplers)
        self.samplers = {entry.label: self._bound(entry) for entry in recipe.of("sampler")}
        KNOWN.reset(known)
        for entry in recipe.of("stage"):
            self._step(entry)
            self.known.add(entry.label)
        self.diagnostics += recipe.diagnostics
        if not self.steps and not self.diagnostics:
            self.diagnostics.append(Diagnostic(recipe.place("recipe"), "has no stage", "a recipe is its [stage.…] tables"))
        if self.diagnostics:
            raise RecipeError(in_file_order([*self.diagnostics, *self.missing_requirements]))
        return Plan(recipe, tuple(self.steps.values()), self.prompts, tuple(in_file_order(self.missing_requirements)))

    # -- one table

    def _bound(self, entry: Entry) -> Bound[Any] | None:
        options = self._made(entry)
        if options is None:
            return None
        if isinstance(options, Teacher):
            self._ask_checks(entry, options)
        return Bound(entry.label, entry.use, options)

    def _made(self, entry: Entry) -> Any:
        """The class that the table uses, made from its options; None after complaints."""
        try:
            kind = self.plugins.find(entry.kind, entry.use)
        except PluginError as error:
            self._complain(entry, "use", error.problem, error.hint)
            return None
        options = dict(entry.options)
        if self.limit is not None and issubclass(kind, Stage):
            options = kind.limited(options, self.limit)
        try:
            return kind(**options)
        except ValidationError as error:
            for problem in error.errors():
                self._explain(entry, kind, problem)
        return None

    def _explain(self, entry: Entry, kind: type[BaseModel], problem: Any) -> None:
        key = str(problem["loc"][0]) if problem["loc"] else ""
        options = {option_name(kind, name): name for name in kind.model_fields}
        hint = kind.model_fields[options[key]].description or "" if key in options else ""
        match problem["type"]:
            case "extra_forbidden" if len(problem["loc"]) > 1:
                self._complain(entry, key, f"`{key}` has no '{problem['loc'][-1]}'", hint)
            case "extra_forbidden":
                close = get_close_matches(key, options, n=1)
                near = (
                    f"did you mean '{close[0]}'?" if close else f"`textbookgen {entry.kind} show {entry.use}` shows the options"
                )
                self._complain(entry, key, f"'{entry.use}' has no option '{key}'", near)
            case "missing":
                self._complain(entry, "", f"needs the option '{key}'", hint)
            case "value_error":
                self._complain(entry, key, str(problem["ctx"]["error"]), hint)
            case _:
                inside = "".join(
                    f"[{item!r}]" for item in problem["loc"][1:] if not isinstance(item, str) or item in str(problem["input"])
                )
                self._complain(
                    entry, key, f"{problem['msg']}{' at ' + inside if inside else ''} (got {problem['input']!r})", hint
                )

    def _ask_checks(self, entry: Entry, options: Teacher | Stage) -> None:
        for diagnostic in options.check():
            placed = replace(diagnostic, place=self.recipe.place(entry.kind, entry.label, diagnostic.place))
            (self.missing_requirements if isinstance(placed, MissingRequirement) else self.diagnostics).append(placed)

    def _complain(self, entry: Entry, key: str, problem: str, hint: str = "") -> None:
        self.diagnostics.append(Diagnostic(self.recipe.place(entry.kind, entry.label, key), problem, hint))

    # -- one stage

    def _step(self, entry: Entry) -> None:
        stage = self._made(entry)
        if stage is None:
            return
        before = len(self.diagnostics)
        self._ask_checks(entry, stage)
        inputs = dict(self._pipes(entry, stage))
        teacher, sampler = self._label(entry, stage, "teacher"), self._label(entry, stage, "sampler")
        accept = tuple(self._judges(entry, stage))
        if sampler is not None and sampler.options.reads():
            for label in sampler.options.reads():
                self._fit(entry, "sampler", label, Input(Documents))
            inputs["sampler"] = sampler.options.reads()
        if teacher is not None and (labels := self._teacher_pipes(teacher)):
            inputs["teacher"] = labels
        if isinstance(stage, Filter) and not stage.inputs:
            self._complain(entry, "", "needs the option 'from'", "stages above whose documents are judged")
        if isinstance(stage, Generator):
            self._generator(entry, stage, sampler)
        if len(self.diagnostics) > before or any(label not in self.steps for labels in inputs.values() for label in labels):
            return
        facts = self._facts(entry, stage, inputs, teacher, sampler, accept)
        output = stage.output_type([self.steps[label].output for label in inputs.get("from", ())])
        self.steps[entry.label] = PlannedStep(
            label=entry.label,
            use=entry.use,
            stage=stage,
            inputs=inputs,
            output=output,
            fingerprint=fingerprint(facts),
            release=self.plugins.release(entry.use),
            seed=self.recipe.seed,
            limit=self.limit if isinstance(stage, Source) else None,
            teacher=teacher,
            sampler=sampler,
            accept=accept,
        )

    def _pipes(self, entry: Entry, stage: Stage) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Each pipe's option and the labels it names, after complaining of those that do not fit."""
        for name, input_option in options_with(type(stage), Input):
            value, option = getattr(stage, name), option_name(type(stage), name)
            labels: Sequence[str] = (value,) if isinstance(value, str) else value or ()
            if input_option.or_name and not any(label in self.known for label in labels):
                continue
            for label in labels:
                self._fit(entry, option, label, input_option)
            if labels:
                yield option, tuple(labels)

    def _teacher_pipes(self, teacher: Bound[Teacher]) -> tuple[str, ...]:
        """The labels that the teacher's pipes name, after complaining of what is neither a stage nor anything else."""
        entry = next(item for item in self.recipe.of("teacher") if item.label == teacher.label)
        result: list[str] = []
        for name, input_option in options_with(type(teacher.options), Input):
            value = getattr(teacher.options, name)
            labels: Sequence[str] = (value,) if isinstance(value, str) else value or ()
            if input_option.or_name and not any(label in self.known for label in labels) and teacher.options.digest():
                continue
            for label in labels:
                self._fit(entry, option_name(type(teacher.options), name), label, input_option)
            result += labels
        return tuple(result)

    def _fit(self, entry: Entry, option: str, label: str, input_option: Input) -> None:
        if label not in self.known:
            below = any(item.label == label for item in self.recipe.of("stage"))
            close = get_close_matches(label, self.known, n=1)
            hint = "data flows down the page: a stage takes only from stages written before it"
            hint = f"did you mean '{close[0]}'?" if close and not below else hint
            self._complain(entry, option, f"nothing called '{label}' stands above this stage", hint)
        elif label in self.steps and not issubclass(given := self.steps[label].output, input_option.types):
            wanted = " or ".join(artifact.name for artifact in input_option.types)
            problem = f"'{label}' gives {given.name}, and this takes {wanted}"
            self._complain(entry, option, problem, "`textbookgen stage list` shows what each stage takes and gives")

    def _label(self, entry: Entry, stage: Stage, table: str) -> Bound[Any] | None:
        for name, mark in options_with(type(stage), Label):
            value = getattr(stage, name)
            if mark.table != table or value is None:
                continue
            known = self.teachers if table == "teacher" else self.samplers
            if value not in known:
                close = get_close_matches(value, known, n=1)
                hint = f"did you mean '{close[0]}'?" if close else f"add a [{table}.{value}] table"
                self._complain(entry, name, f"no {table} is called '{value}'", hint)
            return known.get(value)
        return None

    def _judges(self, entry: Entry, stage: Stage) -> Iterator[Bound[Filter]]:
        for name, _ in options_with(type(stage), FiltersOption):
            value = getattr(stage, name)
            for use in value if isinstance(value, tuple) else (value,) if value else ():
                called = use if isinstance(use, str) else str(use.get("use", ""))
                try:
                    yield Bound(called, called, self.plugins.filter(use))
                except PluginError as error:
                    self._complain(entry, name, error.problem, error.hint)
                except ValidationError as error:
                    for problem in error.errors():
                        self._complain(entry, name, f"'{called}': {'.'.join(map(str, problem['loc']))}: {problem['msg']}")

    def _generator(self, entry: Entry, stage: Generator, sampler: Bound[Sampler] | None) -> None:
        if not stage.inputs and stage.count is None:
            self._complain(entry, "", "needs the option 'count'", "how many documents are to be written")
        if stage.inputs and stage.count is not None:
            problem = "has no meaning with `from`: each document that flows in is asked about"
            self._complain(entry, "count", problem, "`sample` asks about some of them")
        self._target(entry, stage, sampler)
        drawn: dict[str, Any] = sampler.options.draw(0, Random(0), AcceptedStats()) if sampler else {}
        if stage.inputs:
            drawn["document"] = {"id": "", "text": "", "kind": ""}
        try:
            missing = self.prompts.missing(stage.prompt, drawn)
        except TextbookgenError as error:
            self._complain(entry, "prompt", error.problem + (f" ({error.place})" if error.place else ""), error.hint)
            return
        if (stage.sampler is not None and sampler is None) or type(stage).generate is not Generator.generate:
            return
        known = ", ".join(sorted(drawn)) or "nothing"
        for name in missing:
            problem = f"'{stage.prompt}' needs the variable '{name}', which is not drawn"
            self._complain(entry, "prompt", problem, f"what is drawn: {known}")

    def _target(self, entry: Entry, stage: Generator, sampler: Bound[Sampler] | None) -> None:
        """Complains of a target that cannot be reached."""
        if stage.target is None:
            return
        if stage.inputs:
            self._complain(entry, "target", "has no meaning with `from`", "it is for stages that draw until `count` is reached")
        if stage.target.coverage is None:
            return
        grid = sampler.options.grid() if sampler else None
        if grid is None:
            problem = "there is nothing to cover: the sampler has no fields with lists of values to combine"
            self._complain(entry, "target", problem, "`grid`, `uncovered` and a `product` of such can be covered")
        elif stage.target.coverage * grid.cells > (stage.count or 0) + 1e-9:
            problem = f"{stage.target.coverage:.0%} of {grid.cells:,} combinations are more than `count`"
            self._complain(entry, "target", problem, "raise `count`, lower `coverage`, or combine fewer values")

    def _templates(self, stage: Generator) -> dict[str, str]:
        """The text of every template that an option names; `prompt` always, for a class may have given it a default."""
        named = {"prompt", *(name for name, _ in options_with(type(stage), TemplateOption))}
        return {name: self.prompts.sources(template) for name in sorted(named) if (template := getattr(stage, name))}

    def _facts(
        self,
        entry: Entry,
        stage: Stage,
        inputs: Mapping[str, tuple[str, ...]],
        teacher: Bound[Teacher] | None,
        sampler: Bound[Sampler] | None,
        accept: Sequence[Bound[Filter]],
    ) -> dict[str, Any]:
        """What makes the step's output what it is."""
        facts: dict[str, Any] = {"use": entry.use, "version": stage.version, "options": fingerprinted_options(stage)}
        facts["inputs"] = {option: [self.steps[label].fingerprint for label in labels] for option, labels in inputs.items()}
        if isinstance(stage, Source):
            return facts | {"digest": stage.digest(), "limit": self.limit}
        facts["seed"] = self.recipe.seed
        if isinstance(stage, Generator):
            facts |= {"prompts": self._templates(stage), "accept": [judge.identity for judge in accept]}
            facts |= {"teacher": teacher and self._asked(teacher, inputs), "sampler": sampler and sampler.identity}
        elif accept:
            facts["judges"] = [judge.identity for judge in accept]
        return facts

    @staticmethod
    def _asked(teacher: Bound[Teacher], inputs: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
        """What makes the teacher's answers what they are: its digest, or what flows into it, which is among the pipes."""
        who = teacher.identity
        if "teacher" in inputs:
            names = {option_name(type(teacher.options), name) for name, _ in options_with(type(teacher.options), Input)}
            who["options"] = {name: value for name, value in who["options"].items() if name not in names}
        elif digest := teacher.options.digest():
            who["digest"] = digest
        return who
