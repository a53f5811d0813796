"""The reference model's log probabilities of preference pairs: computed once per job and kept in its folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from textbookgen.api.files import atomic_path
from textbookgen.api.hashing import file_digest

LogProbabilities = NDArray[np.float32]


class ReferenceCache:
    """`reference.npz` in a job's folder, valid for one reference model and one set of pairs.

    Args:
        folder: the job's folder.
        weights_digest: digest of the reference model's weights.
        manifest: the manifest of the packed pairs.
    """

    def __init__(self, folder: Path, weights_digest: str, manifest: Path) -> None:
        self._path = folder / "reference.npz"
        self._key = json.dumps([weights_digest, file_digest(manifest)])

    def read(self) -> dict[str, LogProbabilities] | None:
        """Return float32 `[pairs, 2]` by split; None if they are missing, unreadable, or of another model or other pairs."""
        try:
            with self._path.open("rb") as file, np.load(file) as arrays:
                if str(arrays["key"]) != self._key:
                    return None
                return {name: arrays[name] for name in arrays.files if name != "key"}
        except (OSError, ValueError, KeyError, EOFError, BadZipFile):
            return None

    def write(self, logprobs: Mapping[str, LogProbabilities]) -> None:
        """Write float32 `[pairs, 2]` by split, atomically."""
        with atomic_path(self._path) as temporary, temporary.open("wb") as file:
            np.savez(file, **{"key": np.array(self._key), **logprobs})  # type: ignore[arg-type]
