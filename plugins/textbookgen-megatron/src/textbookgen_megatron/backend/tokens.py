"""Token files in Megatron-core's indexed format, and the loss masks beside them."""

# Megatron-core ships no types
# mypy: disable-error-code="import-untyped"

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from megatron.core.datasets.indexed_dataset import DType, IndexedDatasetBuilder, get_bin_path, get_idx_path


class TokenFiles:
    """A pair of `.bin` and `.idx` being written, and a second one of bytes for the loss mask."""

    def __init__(self, prefix: Path, vocabulary: int, *, masked: bool) -> None:
        self._tokens = _Builder(str(prefix), DType.optimal_dtype(vocabulary))
        self._mask = _Builder(f"{prefix}.mask", np.uint8) if masked else None

    def add(self, ids: np.ndarray[Any, Any], lengths: np.ndarray[Any, Any], learned: np.ndarray[Any, Any] | None) -> None:
        """Adds documents that lie one after the other in `ids`."""
        self._tokens.add(ids, lengths)
        if self._mask is not None and learned is not None:
            self._mask.add(learned, lengths)

    def close(self) -> None:
        """Writes the indexes; the files are whole afterwards."""
        self._tokens.close()
        if self._mask is not None:
            self._mask.close()


class _Builder:
    def __init__(self, prefix: str, dtype: Any) -> None:
        self._prefix = prefix
        self._builder = IndexedDatasetBuilder(get_bin_path(prefix), dtype=dtype)

    def add(self, values: np.ndarray[Any, Any], lengths: np.ndarray[Any, Any]) -> None:
        for document in np.split(values, np.cumsum(lengths)[:-1]):
            self._builder.add_document(document, [len(document)])

    def close(self) -> None:
        self._builder.finalize(get_idx_path(self._prefix))
