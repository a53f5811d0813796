"""The code of a plugin as a digest, so that a run can say which completed steps were made by code that has changed since."""

from __future__ import annotations

import hashlib
import sys
from functools import lru_cache
from pathlib import Path


@lru_cache(maxsize=256)
def source_digest(kind: type) -> str:
    """Return a SHA-256 of the code that a class belongs to.

    That is every Python file of the plugin's package; for textbookgen itself, whose package holds all built-in stages, the
    file of the class alone.

    Args:
        kind: the class of a stage.

    Returns:
        64 hexadecimal digits; empty if the code is in no file.
    """
    top = kind.__module__.partition(".")[0]
    own = sys.modules.get(kind.__module__ if top == "textbookgen" else top)
    file = getattr(own, "__file__", None)
    if file is None or not Path(file).is_file():
        return ""
    path = Path(file)
    files = sorted(path.parent.rglob("*.py")) if path.name == "__init__.py" and top != "textbookgen" else [path]
    digest = hashlib.sha256()
    for item in files:
        digest.update(f"{item.relative_to(path.parent).as_posix()}\0".encode() + item.read_bytes())
    return digest.hexdigest()
