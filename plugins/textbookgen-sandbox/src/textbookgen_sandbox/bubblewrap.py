"""Workers started by bubblewrap (bwrap), where it is installed: the same namespaces and files, set up by a well-kept program.

What bubblewrap has no part in stays: each program's own process namespace, seccomp filter, Landlock rules and limits.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from textbookgen_sandbox.worker import filesystem

_NAMESPACES = ("user", "pid", "net", "ipc", "uts", "cgroup")
#: What the worker itself needs to renew the working folder and to give each program a process namespace; programs lose it.
_CAPABILITY = "CAP_SYS_ADMIN"


def find() -> str | None:
    """Return the path of bubblewrap; None if it is not installed."""
    return shutil.which("bwrap")


def command(interpreter: list[str], folder: str) -> list[str]:
    """Return the command that starts an interpreter in bubblewrap.

    Args:
        interpreter: the command of the interpreter, its path first.
        folder: the folder with the worker's package, which is at `filesystem.PACKAGE` inside.
    """
    path = os.path.realpath(interpreter[0])
    options = [f"--unshare-{name}" for name in _NAMESPACES]
    options += ["--as-pid-1", "--hostname", "sandbox", "--cap-drop", "ALL", "--cap-add", _CAPABILITY]
    options += ["--clearenv", *(item for pair in filesystem.ENVIRONMENT.items() for item in ("--setenv", *pair))]
    options += [*_files(), "--ro-bind", path, path, "--ro-bind", folder, filesystem.PACKAGE]
    options += ["--dir", filesystem.WORKDIR, "--chdir", "/", "--remount-ro", "/"]
    return [find() or "bwrap", *options, "--", path, *interpreter[1:]]


def _files() -> Iterator[str]:
    for path in filesystem.readable_folders():
        if Path(path).is_symlink():
            yield from ("--symlink", os.readlink(path), path)  # noqa: PTH115 - bwrap wants the text of the link
        else:
            yield from ("--ro-bind", path, path)
    for path in filesystem.package_folders():
        yield from ("--tmpfs", path, "--remount-ro", path)
    for path in filesystem.DEVICES:
        yield from ("--dev-bind", path, path)
