"""The code of a plugin as a digest, so that a run can say which completed steps were made by code that has changed since."""

from __future__ import annotations

import hashlib
import sys
from functools import lru_cache
from pathlib import Path


@lru_cache(maxsize=256)
def source_digest(kind: type) -> str:
    """Return a SHA-256 of the code that a class belongs to.

    That is every Python file of the plugin's package. For textbookgen itself, whose package holds all built-in stages, and
    for a module that belongs to no regular package, it is the file of the class alone.

    Args:
        kind: the class of a stage.

    Returns:
        64 hexadecimal digits; empty if the code is in no file.
    """
    top = kind.__module__.partition(".")[0]
    package = None if top == "textbookgen" else _file_of(top)
    path = package or _file_of(kind.__module__)
    if path is None:
        return ""
    files = sorted(path.parent.rglob("*.py")) if path == package and path.name == "__init__.py" else [path]
    digest = hashlib.sha256()
    for item in files:
        digest.update(f"{item.relative_to(path.parent).as_posix()}\0".encode() + item.read_bytes())
    return digest.hexdigest()


def _file_of(module: str) -> Path | None:
    file = getattr(sys.modules.get(module), "__file__", None)
    return Path(file) if file is not None and Path(file).is_file() else None
