"""`textbookgen run verify`: compare every file of a run's steps with the size and SHA-256 in its record."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from textbookgen.api.errors import WorkspaceError
from textbookgen.run.integrity import describe_damage
from textbookgen.storage.manifest import Damage, find_damage
from textbookgen.storage.workspace import RunFolder, StepFolder, Workspace


@dataclass(frozen=True)
class StepVerification:
    """What the verification of one step found.

    Attributes:
        label: the label of the stage.
        complete: whether the step has a record; without one there is nothing to compare.
        files: number of files in the record.
        bytes: their recorded size.
        damage: the files that differ.
        repaired: whether the damaged files and the record were deleted.
    """

    label: str
    complete: bool
    files: int = 0
    bytes: int = 0
    damage: tuple[Damage, ...] = ()
    repaired: bool = False

    @property
    def status(self) -> str:
        """The result in words."""
        if not self.complete:
            return "not complete"
        if not self.damage:
            return "verified"
        return f"damaged: {describe_damage(self.damage)}" + ("; will be written again" if self.repaired else "")


def verify_run(workspace: Workspace, run: RunFolder, *, repair: bool = False) -> Iterator[StepVerification]:
    """Verify the steps of a run in order.

    Args:
        workspace: where the steps are.
        run: the run.
        repair: delete damaged files and the step's record, so that the next run writes them again.

    Raises:
        WorkspaceError: another run is processing a damaged step.
    """
    for step in run.plan().steps:
        folder = workspace.step(step.address)
        try:
            file = folder.completed()
        except WorkspaceError as error:
            yield _verify_without_record(step.label, folder, error, repair=repair)
            continue
        if file is None:
            yield StepVerification(step.label, complete=False)
            continue
        damage = tuple(find_damage(folder.folder, file.files, digests=True))
        if damage and repair:
            with folder.lock():
                folder.discard(damage)
        size = sum(entry.bytes for entry in file.files)
        yield StepVerification(step.label, True, len(file.files), size, damage, repaired=bool(damage) and repair)


def _verify_without_record(label: str, folder: StepFolder, error: WorkspaceError, *, repair: bool) -> StepVerification:
    """Return the result for a step whose record cannot be read; a repair deletes the output, which nothing vouches for."""
    if repair:
        with folder.lock():
            folder.clear()
    return StepVerification(label, True, damage=(Damage("record.json", f"is {error.problem}"),), repaired=repair)
