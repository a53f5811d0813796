"""System calls that Python 3.11 has no functions for, made through ctypes: mounts, namespaces, capabilities, seccomp."""

from __future__ import annotations

import ctypes
import os
import platform

CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC = 0x00020000, 0x02000000, 0x04000000, 0x08000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND, MS_REC, MS_PRIVATE = 0x2, 0x4, 0x8, 0x1000, 0x4000, 0x40000
MNT_DETACH = 2
ATTR_RDONLY, ATTR_NOSUID, ATTR_NODEV = 0x1, 0x2, 0x4
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS = 1, 4, 38

_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000
_CAPABILITIES_3 = 0x20080522
_SECCOMP_SET_MODE_FILTER = 1

#: Call numbers on x86_64 and aarch64. Calls added since 2019 have the same number on all machines.
_NUMBERS: dict[str, tuple[int, int]] = {
    "capset": (126, 91),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "pivot_root": (155, 41),
    "prctl": (157, 167),
    "seccomp": (317, 277),
    "setns": (308, 268),
    "sethostname": (170, 161),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "landlock_create_ruleset": (444, 444),
    "landlock_add_rule": (445, 445),
    "landlock_restrict_self": (446, 446),
}
MACHINES = ("x86_64", "aarch64")
_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def call(name: str, *arguments: int | bytes | ctypes.Array[ctypes.c_char] | None) -> int:
    """Make a system call and return its result.

    Raises:
        OSError: the call failed, or its number on this machine is not known; the message begins with the name of the call.
    """
    machine = platform.machine()
    if machine not in MACHINES:
        raise OSError(f"{name}: no system call numbers for {machine}")
    words = [ctypes.c_long(item) if isinstance(item, int) else item for item in arguments]
    result = int(_libc.syscall(ctypes.c_long(_NUMBERS[name][MACHINES.index(machine)]), *words))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return result


def mount(source: str, target: str, kind: str | None, flags: int, options: str = "") -> None:
    """Mount a file system, or bind a file or folder where `flags` has MS_BIND."""
    call("mount", source.encode(), target.encode(), kind.encode() if kind else None, flags, options.encode())


def set_mount_attributes(target: str, attributes: int) -> None:
    """Set mount attributes (read-only, nosuid, nodev) on a mount and all mounts below it (Linux 5.12 or later)."""
    mount_attr = attributes.to_bytes(8, "little") + bytes(24)
    call("mount_setattr", _AT_FDCWD, target.encode(), _AT_RECURSIVE, ctypes.create_string_buffer(mount_attr, 32), 32)


def drop_capabilities() -> None:
    """Drop every capability, so that root inside the user namespace has no privileges."""
    header = _CAPABILITIES_3.to_bytes(4, "little") + bytes(4)
    call("capset", ctypes.create_string_buffer(header, 8), ctypes.create_string_buffer(bytes(24), 24))


class _Program(ctypes.Structure):
    """`struct sock_fprog`: a BPF program and its length in instructions of eight bytes."""

    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def install_filter(program: bytes) -> None:
    """Install a seccomp filter on this process, irrevocably; `no_new_privs` must be set.

    Args:
        program: BPF instructions, eight bytes each.
    """
    sock_fprog = _Program(len(program) // 8, program)
    call("seccomp", _SECCOMP_SET_MODE_FILTER, 0, ctypes.addressof(sock_fprog))
