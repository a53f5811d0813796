"""File system of the worker: an empty root with the interpreter in it, read-only, and one small writable folder.

Threat: a program that reads keys and data of the host, changes its files, or fills its disk. Mechanism: a mount namespace with
a tmpfs as its root (pivot_root(2)), bind mounts of the interpreter and the system libraries sealed read-only
(mount_setattr(2)), and a tmpfs of limited size for the working directory.
"""

from __future__ import annotations

import os
import sysconfig
from pathlib import Path

from . import syscalls

WORKDIR = "/tmp"  # where a program runs: empty, writable, small
WORKDIR_MIB = 16
PACKAGE = "/sandbox"  # where a worker that bubblewrap started finds this package, until it has imported it
ENVIRONMENT = {"PYTHONHASHSEED": "0", "MALLOC_ARENA_MAX": "1"}  # of workers; sets are in the same order on every run
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/share/zoneinfo")


def readable_folders() -> list[str]:
    """Return the folders of the interpreter and of the libraries its modules are linked against."""
    library = [sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), sysconfig.get_config_var("LIBDIR")]
    folders = {path for path in (*_LIBRARIES, *library) if path and Path(path).is_dir()}
    return [path for path in sorted(folders) if not any(path.startswith(f"{other}/") for other in folders)]


def enter_private_root(readable: list[str]) -> None:
    """Replace the root of this mount namespace by an empty one that shows `readable` and `DEVICES`, and drop the old root.

    Raises:
        OSError: the kernel refused one of the mounts.
    """
    syscalls.mount("none", "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)
    syscalls.mount("tmpfs", WORKDIR, "tmpfs", syscalls.MS_NOSUID | syscalls.MS_NODEV, "size=256k,nr_inodes=4k,mode=755")
    old = Path(WORKDIR, "old")
    old.mkdir()
    syscalls.call("pivot_root", WORKDIR.encode(), str(old).encode())
    os.chdir("/")
    for path in readable:
        _bind("/old", path)
    for path in package_folders():
        syscalls.mount("tmpfs", path, "tmpfs", syscalls.MS_NOSUID | syscalls.MS_NODEV, "size=4k,nr_inodes=2")
    for path in DEVICES:
        _bind("/old", path)
    Path(WORKDIR).mkdir(exist_ok=True)
    syscalls.call("umount2", b"/old", syscalls.MNT_DETACH)
    Path("/old").rmdir()
    for path in readable:
        syscalls.set_mount_attributes(path, syscalls.ATTR_RDONLY | syscalls.ATTR_NOSUID | syscalls.ATTR_NODEV)
    syscalls.set_mount_attributes("/", syscalls.ATTR_RDONLY | syscalls.ATTR_NOSUID)


def mount_workdir(replace: bool) -> None:
    """Mount an empty working directory, after unmounting the one before if `replace`."""
    if replace:
        syscalls.call("umount2", WORKDIR.encode(), syscalls.MNT_DETACH)
    flags = syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC
    syscalls.mount("tmpfs", WORKDIR, "tmpfs", flags, f"size={WORKDIR_MIB}m,nr_inodes=1k,mode=1777")


def package_folders() -> list[str]:
    """Return the folders of installed packages beside the standard library; they are hidden."""
    library = Path(sysconfig.get_path("stdlib")).parent
    return [str(path) for name in ("site-packages", "dist-packages") for path in library.glob(f"*/{name}") if path.is_dir()]


def _bind(old_root: str, path: str) -> None:
    """Bind a file or folder of the old root under the same name in the new one."""
    source, target = Path(old_root + path), Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_symlink():
        target.symlink_to(source.readlink())
        return
    if source.is_dir():
        target.mkdir()
    else:
        target.touch()
    syscalls.mount(str(source), path, None, syscalls.MS_BIND | syscalls.MS_REC)
