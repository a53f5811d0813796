"""Landlock rules: which files a program may open, enforced a second time beside the mounts.

Threat: a mistake in the mounts, or a machine without namespaces. Mechanism: a Landlock ruleset (landlock(7)), which also denies
TCP ports and, on newer kernels, signals to and abstract sockets of processes outside.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from pathlib import Path

from . import syscalls

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REFER, _TRUNCATE, _IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
_FILE_RIGHTS = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV  # rights that apply to a file, not a folder
_VERSION, _PATH_BENEATH = 1, 1
READ = _READ_FILE | _READ_DIR


def abi_version() -> int:
    """Return the version of Landlock this kernel supports, 0 for none."""
    try:
        return syscalls.call("landlock_create_ruleset", None, 0, _VERSION)
    except OSError:
        return 0


def _file_rights(version: int) -> int:
    """Return every right over files that this version of Landlock handles."""
    rights = (1 << 13) - 1
    for since, right in ((2, _REFER), (3, _TRUNCATE), (5, _IOCTL_DEV)):
        rights |= right if version >= since else 0
    return rights


def _allow(ruleset: int, path: str, rights: int) -> None:
    if not Path(path).exists():
        return
    opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        rights &= ~0 if Path(path).is_dir() else _FILE_RIGHTS
        beneath = rights.to_bytes(8, "little") + opened.to_bytes(4, "little")
        syscalls.call("landlock_add_rule", ruleset, _PATH_BENEATH, ctypes.create_string_buffer(beneath, 12), 0)
    finally:
        os.close(opened)


def create_ruleset(readable: Sequence[str], writable: Sequence[str], devices: Sequence[str]) -> int:
    """Return a new ruleset as a file descriptor; `restrict` applies it to a process.

    Network ports and, where the kernel supports it, signals and abstract sockets of other processes are denied altogether.

    Args:
        readable: folders that may be read.
        writable: folders in which everything but execution is allowed.
        devices: files that may be read and written.
    """
    version = abi_version()
    ports = 0b11 if version >= 4 else 0
    scopes = 0b11 if version >= 6 else 0
    attributes = b"".join(number.to_bytes(8, "little") for number in (_file_rights(version), ports, scopes))
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    ruleset = syscalls.call("landlock_create_ruleset", ctypes.create_string_buffer(attributes, 24), size, 0)
    for path in readable:
        _allow(ruleset, path, READ)
    for path in writable:
        _allow(ruleset, path, _file_rights(version) & ~_EXECUTE)
    for path in devices:
        _allow(ruleset, path, _READ_FILE | _WRITE_FILE)
    return ruleset


def restrict(ruleset: int) -> None:
    """Apply a ruleset to this process, irrevocably; `no_new_privs` must be set."""
    syscalls.call("landlock_restrict_self", ruleset, 0)
