"""Landlock: which files a program may open, said to the kernel once more, beside the mounts."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from pathlib import Path

from . import kernel

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REFER, _TRUNCATE, _IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV  # rights that make sense of a file that is no folder
_VERSION, _PATH_BENEATH = 1, 1
READ = _READ_FILE | _READ_DIR


def version() -> int:
    """The version of Landlock this kernel has, 0 for none."""
    try:
        return kernel.call("landlock_create_ruleset", None, 0, _VERSION)
    except OSError:
        return 0


def _handled(offered: int) -> int:
    """Every right over files that this version knows."""
    rights = (1 << 13) - 1
    for since, right in ((2, _REFER), (3, _TRUNCATE), (5, _IOCTL_DEV)):
        rights |= right if offered >= since else 0
    return rights


def _allow(rules: int, path: str, rights: int) -> None:
    if not Path(path).exists():
        return
    opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        rights &= ~0 if Path(path).is_dir() else _FILES
        beneath = rights.to_bytes(8, "little") + opened.to_bytes(4, "little")
        kernel.call("landlock_add_rule", rules, _PATH_BENEATH, ctypes.create_string_buffer(beneath, 12), 0)
    finally:
        os.close(opened)


def rules(readable: Sequence[str], writable: Sequence[str], devices: Sequence[str]) -> int:
    """A set of rules, as a file descriptor: `restrict` lays them on a process.

    Network ports and, where known, signals and abstract sockets of others are closed altogether.
    """
    offered = version()
    ports = 0b11 if offered >= 4 else 0
    scopes = 0b11 if offered >= 6 else 0
    asked = b"".join(number.to_bytes(8, "little") for number in (_handled(offered), ports, scopes))
    size = 24 if offered >= 6 else 16 if offered >= 4 else 8
    made = kernel.call("landlock_create_ruleset", ctypes.create_string_buffer(asked, 24), size, 0)
    for path in readable:
        _allow(made, path, READ)
    for path in writable:
        _allow(made, path, _handled(offered) & ~_EXECUTE)
    for path in devices:
        _allow(made, path, _READ_FILE | _WRITE_FILE)
    return made


def restrict(made: int) -> None:
    """Lays the rules on this process for good; `no_new_privs` must be set."""
    kernel.call("landlock_restrict_self", made, 0)
