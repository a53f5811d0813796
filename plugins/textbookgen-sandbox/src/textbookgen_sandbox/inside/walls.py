"""The walls: a root of its own with the standard library in it, and what a process gives up before it runs a program."""

from __future__ import annotations

import atexit
import os
import resource
import shutil
import socket
import sys
import sysconfig
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from . import filter as calls
from . import kernel, landlock

DESK = "/tmp"  # where a program works: empty, writable, small
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
GUEST = 1000  # who a program is inside; the host's root maps it to nobody
DESK_MIB = 16
_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/share/zoneinfo")
_NAMESPACES = (
    kernel.CLONE_NEWUSER
    | kernel.CLONE_NEWNS
    | kernel.CLONE_NEWPID
    | kernel.CLONE_NEWNET
    | kernel.CLONE_NEWIPC
    | kernel.CLONE_NEWUTS
    | kernel.CLONE_NEWCGROUP
)


@dataclass
class Walls:
    """What stands between programs and the machine; `lacks` says in words what could not be had."""

    namespaces: bool = False
    guest: bool = False
    landlock: bool = False
    seccomp: bool = False
    desk: str = DESK
    lacks: list[str] = field(default_factory=list)
    readable: list[str] = field(default_factory=list)
    rules: int | None = None  # Landlock's, made anew with each desk
    filter: bytes = b""  # for a process that is the first of its namespace


def _readable() -> list[str]:
    """The folders of the interpreter and of the libraries its modules are linked against."""
    library = [sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), sysconfig.get_config_var("LIBDIR")]
    result = [path for path in (*_LIBRARIES, *library) if path and Path(path).is_dir()]
    return [path for path in sorted(set(result)) if not any(path.startswith(f"{other}/") for other in result)]


def _others() -> list[str]:
    """Folders of packages beside the standard library, which are hidden."""
    library = Path(sysconfig.get_path("stdlib")).parent
    return [str(path) for name in ("site-packages", "dist-packages") for path in library.glob(f"*/{name}") if path.is_dir()]


def _bind(old: str, path: str) -> None:
    """Shows a file or folder of the machine under the same name inside."""
    source, here = Path(old + path), Path(path)
    here.parent.mkdir(parents=True, exist_ok=True)
    if source.is_symlink():
        here.symlink_to(source.readlink())
        return
    if source.is_dir():
        here.mkdir()
    else:
        here.touch()
    kernel.mount(str(source), path, None, kernel.MS_BIND | kernel.MS_REC)


def _move_in(readable: list[str]) -> None:
    """Makes a small empty root, shows in it what programs may read, and leaves the old root for good."""
    kernel.mount("none", "/", None, kernel.MS_REC | kernel.MS_PRIVATE)
    kernel.mount("tmpfs", DESK, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "size=256k,nr_inodes=4k,mode=755")
    old = Path(DESK, "old")
    old.mkdir()
    kernel.call("pivot_root", DESK.encode(), str(old).encode())
    os.chdir("/")
    for path in readable:
        _bind("/old", path)
    for path in _others():
        kernel.mount("tmpfs", path, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "size=4k,nr_inodes=2")
    for path in DEVICES:
        _bind("/old", path)
    Path(DESK).mkdir(exist_ok=True)
    kernel.call("umount2", b"/old", kernel.MNT_DETACH)
    Path("/old").rmdir()
    for path in readable:
        kernel.seal(path, kernel.ATTR_RDONLY | kernel.ATTR_NOSUID | kernel.ATTR_NODEV)
    kernel.seal("/", kernel.ATTR_RDONLY | kernel.ATTR_NOSUID)


def build(settle: Callable[[], bool]) -> Walls:
    """Walls this process in, and its children with it; `settle` asks the host to map users, and says if there is a guest.

    After it, the process that goes on is the first of a process namespace; the one that called waits for it outside.
    Where `lacks` is not empty the process is half moved in and no good: begin again, with `do_without`.
    """
    walls = _layers(DESK)
    try:
        kernel.call("unshare", _NAMESPACES)
        walls.guest = settle()
        _move_in(walls.readable)
        socket.sethostname("sandbox")
        walls.namespaces = True
    except OSError as error:
        walls.lacks.append(f"namespaces of its own ({error.strerror or error})")
    if not walls.seccomp:
        walls.lacks.append("a seccomp filter (there is a list of system calls for x86_64 and aarch64 only)")
    if not walls.lacks:
        _become_first()
    return walls


def do_without() -> Walls:
    """The walls that stand without namespaces: Landlock and a seccomp filter where there are, and limits."""
    desk = tempfile.mkdtemp(prefix="sandbox-")
    atexit.register(shutil.rmtree, desk, ignore_errors=True)
    return _layers(desk)


def _layers(desk: str) -> Walls:
    """The walls that need nobody's leave, made ready once so that a child has little left to do."""
    known = calls.known()
    return Walls(
        seccomp=known,
        landlock=landlock.version() > 0,
        desk=desk,
        readable=_readable(),
        filter=calls.program(1) if known else b"",
    )


def _become_first() -> None:
    child = os.fork()
    if child:
        status = os.waitpid(child, 0)[1]
        os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
    kernel.call("prctl", kernel.PR_SET_PDEATHSIG, 9)


def clear_desk(walls: Walls, first: bool) -> None:
    """Gives the next program an empty folder to work in; one that is still empty is kept."""
    if not first and not any(Path(walls.desk).iterdir()):
        return
    if walls.namespaces:
        if not first:
            kernel.call("umount2", DESK.encode(), kernel.MNT_DETACH)
        flags = kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC
        kernel.mount("tmpfs", DESK, "tmpfs", flags, f"size={DESK_MIB}m,nr_inodes=1k,mode=1777")
    else:
        shutil.rmtree(walls.desk, ignore_errors=True)
        Path(walls.desk).mkdir(mode=0o700, exist_ok=True)
    if walls.rules is not None:
        os.close(walls.rules)
    if walls.landlock:
        walls.rules = landlock.rules(walls.readable, [walls.desk], DEVICES)


def fork(walls: Walls, own: int) -> int:
    """Forks a child that is alone in a process namespace; `own` is a pidfd of the caller, whose namespace is gone back to."""
    if walls.namespaces:
        kernel.call("setns", own, kernel.CLONE_NEWPID)
        kernel.call("unshare", kernel.CLONE_NEWPID)
    return os.fork()


def _limit(memory: int, seconds: float) -> None:
    whole = int(seconds) + 2  # a backstop: the watcher counts finer
    limits = {
        resource.RLIMIT_AS: memory,
        resource.RLIMIT_CPU: whole,
        resource.RLIMIT_FSIZE: DESK_MIB << 20,
        resource.RLIMIT_NOFILE: 64,
        resource.RLIMIT_NPROC: 256,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MEMLOCK: 0,
        resource.RLIMIT_MSGQUEUE: 0,
    }
    for which, most in limits.items():
        resource.setrlimit(which, (most, most))


def confine(walls: Walls, memory: int, seconds: float) -> None:
    """Gives up, in a child and for good, everything a program has no need of; `memory` in bytes of address space."""
    os.chdir(walls.desk)
    _limit(memory, seconds)
    if walls.guest:
        os.setgroups([])
        os.setresgid(GUEST, GUEST, GUEST)
        os.setresuid(GUEST, GUEST, GUEST)
    kernel.drop_capabilities()
    kernel.call("prctl", kernel.PR_SET_PDEATHSIG, 9)
    kernel.call("prctl", kernel.PR_SET_DUMPABLE, 0)
    kernel.call("prctl", kernel.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if walls.rules is not None:
        landlock.restrict(walls.rules)
        os.close(walls.rules)
    if walls.seccomp:
        kernel.install_filter(walls.filter if os.getpid() == 1 else calls.program(os.getpid()))


def address_space() -> int:
    """Bytes of address space this process has, in which programs begin."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()


def interpreter() -> str:
    """The interpreter without a virtual environment around it."""
    return str(getattr(sys, "_base_executable", None) or sys.executable)
