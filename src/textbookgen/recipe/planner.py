"""Plan a recipe: look up its plugins, validate its options, connect its stages and compute their fingerprints."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from textbookgen.api.errors import Diagnostic, RecipeError
from textbookgen.api.generator import Generator
from textbookgen.api.grader import Grader
from textbookgen.api.sampler import AcceptedStats
from textbookgen.api.stage import CorpusFilter, Filter, Source, Stage
from textbookgen.api.teacher import Teacher
from textbookgen.api.teacher_evaluator import TeacherEvaluator
from textbookgen.recipe.connect import Connections, Connector
from textbookgen.recipe.diagnostics import DiagnosticCollector
from textbookgen.recipe.fingerprint import fingerprint, step_facts
from textbookgen.recipe.generator_checks import check_generator
from textbookgen.recipe.options import build_options
from textbookgen.recipe.parser import Entry, Recipe, in_file_order
from textbookgen.recipe.plan import Component, GeneratorStep, GraderStep, Plan, PlannedStep
from textbookgen.recipe.plugin_boundary import plugin_boundary
from textbookgen.recipe.plugin_manager import Plugins
from textbookgen.recipe.prompt_checks import check_prompts, document_variables
from textbookgen.recipe.prompts import Prompts


def make_plan(recipe: Recipe, plugins: Plugins, *, limit: int | None = None) -> Plan:
    """Turn a recipe into a plan.

    Args:
        recipe: the parsed recipe.
        plugins: the plugins to look its stages, teachers and samplers up in.
        limit: the largest number of documents that each source or generator gives.

    Raises:
        RecipeError: everything that is wrong with the recipe, in file order.
    """
    return _Planner(recipe, plugins, limit).plan()


@dataclass
class _Planner:
    """Walks the tables of a recipe in file order, collecting steps and diagnostics."""

    recipe: Recipe
    plugins: Plugins
    limit: int | None
    steps: list[PlannedStep] = field(default_factory=list)

    def __post_init__(self) -> None:
        folder = self.recipe.path.parent
        self.prompts = Prompts([folder / "prompts", folder, *self.plugins.prompt_folders()])
        self.diagnostics = DiagnosticCollector(self.recipe)

    def plan(self) -> Plan:
        recipe, diagnostics = self.recipe, self.diagnostics
        teachers = {entry.label: self._component(entry) for entry in recipe.of("teacher")}
        samplers = {entry.label: self._component(entry) for entry in recipe.of("sampler")}
        connector = Connector(self.plugins, diagnostics, teachers, samplers)
        for entry in recipe.of("stage"):
            step = self._step(entry, connector)
            connector.outputs[entry.label] = None if step is None else step.output
            if step is not None:
                self.steps.append(step)
        errors = [*diagnostics.errors, *recipe.diagnostics]
        if not self.steps and not errors:
            errors.append(Diagnostic(recipe.place("recipe"), "the recipe has no stages", "add a [stage.LABEL] table"))
        if errors:
            raise RecipeError(in_file_order([*errors, *diagnostics.missing_requirements]))
        missing = tuple(in_file_order(diagnostics.missing_requirements))
        return Plan(recipe, tuple(self.steps), self.prompts, self.plugins, missing)

    def _component(self, entry: Entry) -> Component[Any] | None:
        """Return the teacher or sampler that a table configures; None if it is wrong."""
        options = build_options(entry, self.plugins, self.diagnostics, limit=self.limit)
        if options is None:
            return None
        if isinstance(options, Teacher):
            self._check(entry, options)
        return Component(entry.label, entry.use, options)

    def _step(self, entry: Entry, connector: Connector) -> PlannedStep | None:
        """Return the step of a stage; None if anything about it, or about the stages it depends on, is wrong."""
        stage = build_options(entry, self.plugins, self.diagnostics, limit=self.limit)
        if not isinstance(stage, Stage):
            return None
        errors_before = len(self.diagnostics.errors)
        self._check(entry, stage)
        connections = connector.connect(entry, stage)
        if isinstance(stage, Generator):
            draw_names = self._drawn_variables(stage.inputs) if stage.inputs else None
            check_generator(entry, stage, connections, self.prompts, self.diagnostics, draw_names)
        elif isinstance(stage, Grader):
            draw_names = self._drawn_variables(stage.inputs)
            check_prompts(entry, stage, document_variables(), self.prompts, self.diagnostics, draw_names=draw_names)
        elif isinstance(stage, TeacherEvaluator) and connections.asked:
            check_prompts(entry, stage, {}, self.prompts, self.diagnostics)
        planned = {step.label for step in self.steps}
        complete = all(label in planned for labels in connections.inputs.values() for label in labels)
        if len(self.diagnostics.errors) > errors_before or not complete:
            return None
        return self._planned(entry, stage, connections)

    def _check(self, entry: Entry, options: Stage | Teacher) -> None:
        with plugin_boundary(f"{entry.kind} `{entry.use}` ({self.plugins.release(entry.use)})", "check"):
            self.diagnostics.extend(entry, options.check())

    def _drawn_variables(self, labels: Iterable[str]) -> set[str] | None:
        """Return the variables that all documents of these stages were drawn with; None if that is not known."""
        steps = {step.label: step for step in self.steps}
        draw_names: list[set[str] | None] = []
        for label in labels:
            step = steps.get(label)
            if isinstance(step, GeneratorStep):
                draw_names.append(set(step.sampler.options.draw(0, Random(0), AcceptedStats())) if step.sampler else set())
            elif step is not None and isinstance(step.stage, Filter | CorpusFilter):
                draw_names.append(self._drawn_variables(step.inputs.get("from", ())))
            else:
                draw_names.append(None)
        known = [names for names in draw_names if names is not None]
        return set.intersection(*known) if known and len(known) == len(draw_names) else None

    def _planned(self, entry: Entry, stage: Stage, connections: Connections) -> PlannedStep | None:
        steps = {step.label: step for step in self.steps}
        limit = self.limit if isinstance(stage, Source) else None
        fingerprints = {label: step.fingerprint for label, step in steps.items()}
        facts = step_facts(stage, entry.use, connections, fingerprints, self.prompts, seed=self.recipe.seed, limit=limit)
        common: dict[str, Any] = {
            "label": entry.label,
            "use": entry.use,
            "inputs": connections.inputs,
            "output": stage.output_type([steps[label].output for label in connections.inputs.get("from", ())]),
            "fingerprint": fingerprint(facts),
            "release": self.plugins.release(entry.use),
            "seed": self.recipe.seed,
            "limit": limit,
            "sampler": connections.sampler,
            "filters": connections.filters,
            "asked": connections.asked,
        }
        if not isinstance(stage, Generator | Grader):
            return PlannedStep(stage=stage, teacher=connections.teacher, **common)
        missing = [item for item in connections.filters if isinstance(item.options, Grader) and item.teacher is None]
        if connections.teacher is None or missing:  # a table has errors, which are reported already
            return None
        if isinstance(stage, Grader):
            return GraderStep(stage=stage, teacher=connections.teacher, **common)
        return GeneratorStep(stage=stage, teacher=connections.teacher, **common)
