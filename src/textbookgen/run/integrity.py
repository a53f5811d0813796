"""Integrity of completed steps: when one can be reused, and verification of inputs before they are trained on or exported."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from textbookgen.api.artifacts import Artifact, Folder, Table
from textbookgen.api.errors import WorkspaceError
from textbookgen.api.events import Event, Progress
from textbookgen.api.stage import Evaluator, Packer, Trainer
from textbookgen.recipe.plan import GeneratorStep, PlannedStep
from textbookgen.recipe.plugin_source import source_digest
from textbookgen.storage.manifest import Damage, find_damage
from textbookgen.storage.records import StepFile
from textbookgen.storage.workspace import StepFolder

log = logging.getLogger(__name__)

_MAX_NAMED = 3  # damaged files that a message names


@dataclass
class StepIntegrity:
    """What one run knows of its completed steps.

    A record vouches for the files of its step. Names and sizes are compared whenever a step is reused; digests before a
    packer, a trainer or an evaluator reads the files, once per run. A step is reused only if its inputs are those that it ran
    with. What is damaged is reported and written again, except for trained models, which may have taken days.

    Attributes:
        notify: where progress is reported.
        digests: the output digest of each completed step by label.
    """

    notify: Callable[[Event], None]
    digests: dict[str, str] = field(default_factory=dict)
    _verified: set[Path] = field(default_factory=set)

    def inputs(self, step: PlannedStep) -> dict[str, str]:
        """Return the output digests of the inputs of a step, by label."""
        return {label: self.digests[label] for labels in step.inputs.values() for label in labels}

    def reusable(self, step: PlannedStep, folder: StepFolder) -> StepFile | None:
        """Return the record of a step if it can be reused; make the step incomplete if it cannot.

        Raises:
            WorkspaceError: a trained model is damaged, or its record is.
        """
        file = self._completed(step, folder)
        if file is None:
            return None
        damage = find_damage(folder.folder, file.files, digests=False)
        if damage:
            if isinstance(step.stage, Trainer):
                hint = f"restore the files from a copy, or train the model again with `--again {step.label}`"
                raise _damaged(folder, damage, hint)
            damage = find_damage(folder.folder, file.files, digests=True)
            log.warning("step '%s' is damaged and is run again: %s", step.label, describe_damage(damage))
            folder.discard(damage)
            return None
        changed = sorted(label for label, digest in self.inputs(step).items() if file.inputs.get(label) != digest)
        if changed:
            labels = ", ".join(f"'{label}'" for label in changed)
            log.warning("step '%s' is run again: the output of %s is not what it ran with", step.label, labels)
            folder.clear()
            return None
        if file.source and file.source != source_digest(type(step.stage)):
            problem = "the code of %s has changed since step '%s' was completed; if its output would differ, add `--again %s`"
            log.warning(problem, step.release, step.label, step.label)
        self.digests[step.label] = file.digest
        return file

    def _completed(self, step: PlannedStep, folder: StepFolder) -> StepFile | None:
        """Return the step's record; None if there is none. One that cannot be read is removed, with what it vouched for."""
        try:
            return folder.completed()
        except WorkspaceError as error:
            if isinstance(step.stage, Trainer):
                hint = f"restore the file from a copy, or train the model again with `--again {step.label}`"
                raise WorkspaceError(error.problem, place=error.place, hint=hint) from error
            log.warning("step '%s' is run again: its record.json is %s", step.label, error.problem)
            folder.clear()
            return None

    def prepare_incomplete(self, step: PlannedStep, folder: StepFolder) -> None:
        """Delete what an interrupted or damaged step left incomplete: parts without content, and data without verdicts."""
        if isinstance(step, GeneratorStep) and step.rejects:
            folder.discard_parts_without_verdicts()
        unreadable = folder.discard_unreadable_parts()
        if unreadable:
            names = ", ".join(file.name for file in unreadable[:_MAX_NAMED])
            log.warning("step '%s': %d parts cannot be read and are written again: %s", step.label, len(unreadable), names)

    def completed(self, file: StepFile, folder: StepFolder) -> None:
        """Note that this run has completed a step; its digests were computed just now."""
        self.digests[file.label] = file.digest
        self._verified.add(folder.folder)

    def verify_inputs(self, step: PlannedStep, artifacts: Iterable[Artifact]) -> None:
        """Compare the SHA-256 of every file that a packer, trainer or evaluator is about to read with the records.

        Raises:
            WorkspaceError: a file differs.
        """
        if not isinstance(step.stage, Packer | Trainer | Evaluator):
            return
        for folder in _folders(artifacts):
            if folder not in self._verified:
                self._verify(step, StepFolder(folder))
                self._verified.add(folder)

    def _verify(self, step: PlannedStep, folder: StepFolder) -> None:
        file = folder.completed()
        if file is None:
            return
        total = len(file.files)
        damage = find_damage(
            folder.folder,
            file.files,
            digests=True,
            progress=lambda done: self.notify(Progress(step.label, done, total, "files", f"verifying '{file.label}'")),
        )
        if damage:
            hint = "`textbookgen run verify --repair` deletes what is damaged; the next run writes it again"
            raise _damaged(folder, damage, hint)


def describe_damage(damage: Sequence[Damage]) -> str:
    """Return the first few damaged files with what is wrong, and the number of others."""
    named = "; ".join(map(str, damage[:_MAX_NAMED]))
    return named if len(damage) <= _MAX_NAMED else f"{named}; and {len(damage) - _MAX_NAMED:,} more"


def _damaged(folder: StepFolder, damage: Sequence[Damage], hint: str) -> WorkspaceError:
    problem = f"the files of step '{folder.folder.name}' are damaged: {describe_damage(damage)}"
    return WorkspaceError(problem, place=str(folder.folder), hint=hint)


def _folders(artifacts: Iterable[Artifact]) -> list[Path]:
    """Return the folders of the steps whose files these artifacts consist of, each once."""
    folders: dict[Path, None] = {}
    for artifact in artifacts:
        if isinstance(artifact, Table):
            for part in artifact.parts:
                folders.setdefault(part.data.parents[1])
                if part.verdicts is not None:
                    folders.setdefault(part.verdicts.parents[1])
        elif isinstance(artifact, Folder):
            folders.setdefault(artifact.path.parent)
    return list(folders)
