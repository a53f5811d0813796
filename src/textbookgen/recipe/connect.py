"""Resolve what the options of a stage refer to: earlier stages, teachers, samplers and filters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError

from textbookgen.api.annotations import FiltersOption, Input, Label, option_name, options_with
from textbookgen.api.artifacts import Artifact, Documents
from textbookgen.api.errors import PluginError
from textbookgen.api.generator import Generator
from textbookgen.api.grader import Grader
from textbookgen.api.sampler import Sampler
from textbookgen.api.stage import Filter, Stage
from textbookgen.api.teacher import Teacher
from textbookgen.api.teacher_evaluator import TeacherEvaluator
from textbookgen.recipe.diagnostics import DiagnosticCollector
from textbookgen.recipe.names import check_names
from textbookgen.recipe.options import explain
from textbookgen.recipe.parser import Entry
from textbookgen.recipe.plan import Component, PlannedFilter
from textbookgen.recipe.plugin_boundary import plugin_boundary
from textbookgen.recipe.plugin_manager import Plugins


@dataclass(frozen=True)
class Connections:
    """What a stage is connected to: the labels of earlier stages by input option, and its teachers, sampler and filters."""

    inputs: Mapping[str, tuple[str, ...]]
    teacher: Component[Teacher] | None = None
    sampler: Component[Sampler] | None = None
    filters: tuple[PlannedFilter, ...] = ()
    asked: tuple[Component[Teacher], ...] = ()


@dataclass
class Connector:
    """Resolves the references of each stage in turn, and reports those that lead nowhere or do not fit.

    `outputs` has the output type of each earlier stage by label; None where the stage itself is wrong, so that its
    followers are not blamed for it.
    """

    plugins: Plugins
    diagnostics: DiagnosticCollector
    teachers: Mapping[str, Component[Teacher] | None]
    samplers: Mapping[str, Component[Sampler] | None]
    outputs: dict[str, type[Artifact] | None] = field(default_factory=dict)

    def connect(self, entry: Entry, stage: Stage) -> Connections:
        """Resolve everything that the stage refers to."""
        inputs = dict(self._inputs(entry, stage))
        asked = tuple(self._asked(entry, stage)) if isinstance(stage, TeacherEvaluator) else ()
        teacher = None if isinstance(stage, TeacherEvaluator) else self._labelled(entry, stage, "teacher", self.teachers)
        sampler = self._labelled(entry, stage, "sampler", self.samplers)
        filters = tuple(self._filters(entry, stage))
        check_names(entry, stage, self.outputs, self.plugins, self.diagnostics)
        if sampler is not None and (labels := sampler.options.reads()):
            self._check_labels(entry, "sampler", labels, Input(Documents))
            inputs["sampler"] = labels
        if teacher is not None and (labels := self._teacher_inputs(teacher)):
            inputs["teacher"] = labels
        for component in asked:
            if labels := self._teacher_inputs(component):
                inputs[f"teacher.{component.label}"] = labels
        for number, filter_ in enumerate(filters):
            check_names(entry, filter_.options, self.outputs, self.plugins, self.diagnostics, within="accept")
            if filter_.teacher is not None and (labels := self._teacher_inputs(filter_.teacher)):
                inputs[f"accept.{number}"] = labels
        if isinstance(stage, Filter) and not stage.inputs:
            hint = type(stage).model_fields["inputs"].description or ""
            self.diagnostics.report(entry, "", "the option 'from' is required", hint)
        return Connections(inputs, teacher, sampler, filters, asked)

    # -- earlier stages

    def _inputs(self, entry: Entry, stage: Stage) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Yield each input option with the labels it names."""
        for name, mark in options_with(type(stage), Input):
            option, labels = option_name(type(stage), name), _labels(stage, name)
            if mark.or_name and not self._any_known(labels):
                continue
            self._check_labels(entry, option, labels, mark)
            if labels:
                yield option, labels

    def _teacher_inputs(self, teacher: Component[Teacher]) -> tuple[str, ...]:
        """Return the labels of the stages that a teacher answers from, such as the one that trained its model."""
        entry = self.diagnostics.recipe.entry("teacher", teacher.label)
        labels: list[str] = []
        for name, mark in options_with(type(teacher.options), Input):
            named = _labels(teacher.options, name)
            if mark.or_name and not self._any_known(named) and teacher.options.digest():
                continue
            self._check_labels(entry, option_name(type(teacher.options), name), named, mark)
            labels += named
        return tuple(labels)

    def _any_known(self, labels: Sequence[str]) -> bool:
        return any(label in self.outputs for label in labels)

    def _check_labels(self, entry: Entry, option: str, labels: Sequence[str], mark: Input) -> None:
        for label, count in Counter(labels).items():
            if count > 1:
                self.diagnostics.report(entry, option, f"'{label}' is listed {count} times", "list each stage once")
            self._check_label(entry, option, label, mark)

    def _check_label(self, entry: Entry, option: str, label: str, mark: Input) -> None:
        if label not in self.outputs:
            later = any(item.label == label for item in self.diagnostics.recipe.of("stage"))
            close = get_close_matches(label, self.outputs, n=1)
            order = "a stage can only use stages that are written above it in the file"
            hint = f"did you mean '{close[0]}'?" if close and not later else order
            folder = ", and no folder of that name holds a checkpoint" if mark.or_name else ""
            self.diagnostics.report(entry, option, f"no earlier stage is named '{label}'{folder}", hint)
            return
        output = self.outputs[label]
        if output is not None and not issubclass(output, mark.types):
            accepted = " or ".join(artifact.name for artifact in mark.types)
            problem = f"the output of '{label}' is {output.name}, but this option takes {accepted}"
            self.diagnostics.report(entry, option, problem, "`textbookgen stage list` shows the input and output of each stage")

    # -- other tables

    def _labelled(
        self, entry: Entry, stage: Stage, table: str, known: Mapping[str, Component[Any] | None], within: str = ""
    ) -> Any:
        """Return the teacher or sampler that a stage, or a filter within one of its options, names.

        None if it names none, or one that is wrong itself.
        """
        for name, mark in options_with(type(stage), Label):
            label = getattr(stage, name)
            if mark.table != table or label is None:
                continue
            self._check_known(entry, within or name, table, label, known)
            return known.get(label)
        return None

    def _check_known(self, entry: Entry, option: str, table: str, label: str, known: Mapping[str, Any]) -> None:
        if label not in known:
            close = get_close_matches(label, known, n=1)
            hint = f"did you mean '{close[0]}'?" if close else f"add a [{table}.{label}] table"
            self.diagnostics.report(entry, option, f"no {table} is named '{label}'", hint)

    def _asked(self, entry: Entry, stage: TeacherEvaluator) -> Iterator[Component[Teacher]]:
        """Yield the teachers that an evaluator asks, each once; those that are wrong themselves are left out."""
        seen: set[str] = set()
        for name, mark in options_with(type(stage), Label):
            for label in _labels(stage, name) if mark.table == "teacher" else ():
                self._check_known(entry, name, "teacher", label, self.teachers)
                component = self.teachers.get(label)
                if component is not None and label not in seen:
                    seen.add(label)
                    yield component

    def _filters(self, entry: Entry, stage: Stage) -> Iterator[PlannedFilter]:
        """Yield the filters that options such as `accept` name, each by a string or by a table with `use`."""
        for name, _ in options_with(type(stage), FiltersOption):
            for item in _items(getattr(stage, name)):
                use = _use_and_options(item)[0]
                built = self._filter(entry, name, item)
                if built is None:
                    continue
                teacher: Component[Teacher] | None = None
                if isinstance(built, Grader) and isinstance(stage, Generator):
                    teacher = self._labelled(entry, built, "teacher", self.teachers, within=name)
                elif isinstance(built, Grader):
                    self._report_grader(entry, name, use)
                self._check_nested_filters(entry, name, built)
                yield PlannedFilter(use, use, built, teacher)

    def _filter(self, entry: Entry, name: str, item: str | Mapping[str, Any]) -> Filter | None:
        """Return the filter that an item of an option describes; None after reporting that there is none."""
        use, options = _use_and_options(item)
        try:
            built = self.plugins.filter(item)
        except PluginError as error:
            self.diagnostics.report(entry, name, error.problem, error.hint)
        except ValidationError as error:
            for problem in explain(error, self.plugins.find("stage", use), "stage", use, options):
                where = f"'{use}': " + (f"{problem.key}: " if problem.key else "")
                self.diagnostics.report(entry, name, where + problem.problem, problem.hint)
        else:
            with plugin_boundary(f"filter `{use}` ({self.plugins.release(use)})", "check"):
                located = (
                    replace(each, place=name, problem=f"'{use}': {each.place}: {each.problem}") for each in built.check()
                )
                self.diagnostics.extend(entry, located)
            return built
        return None

    def _check_nested_filters(self, entry: Entry, name: str, outer: Filter) -> None:
        """Report what is wrong with the filters that a filter contains; a grader cannot be among them."""
        for option, _ in options_with(type(outer), FiltersOption):
            for item in _items(getattr(outer, option)):
                inner = self._filter(entry, name, item)
                if isinstance(inner, Grader):
                    self._report_grader(entry, name, _use_and_options(item)[0])

    def _report_grader(self, entry: Entry, name: str, use: str) -> None:
        hint = "make it a stage, or one of the filters in the `accept` of a generator"
        self.diagnostics.report(entry, name, f"'{use}' asks a teacher and cannot be used here", hint)


def _labels(options: BaseModel, name: str) -> tuple[str, ...]:
    """Return the labels in the value of an input option, which may be one label, several or none."""
    value = getattr(options, name)
    return (value,) if isinstance(value, str) else tuple(value or ())


def _items(value: Any) -> tuple[str | Mapping[str, Any], ...]:
    """Return the filters in the value of an option: one, several or none."""
    return value if isinstance(value, tuple) else (value,) if value else ()


def _use_and_options(item: str | Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    if isinstance(item, str):
        return item, {}
    return str(item.get("use", "")), {key: value for key, value in item.items() if key != "use"}
