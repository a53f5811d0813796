"""Isolation of the worker: the namespaces it enters once, and the privileges each forked child gives up.

Threat: a program that acts on the host (its files, processes, network, users) or on other programs. Mechanism, in this order:
user, mount, process, network, IPC, UTS and cgroup namespaces (unshare(2)) and a private root for the worker; then for each
child its own process namespace, resource limits (setrlimit(2)), an unprivileged user, no capabilities, `no_new_privs`, a
Landlock ruleset and a seccomp filter.
"""

from __future__ import annotations

import atexit
import mmap
import os
import resource
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from . import filesystem, landlock, seccomp, syscalls

PROGRAM_USER = 1000  # user and group id of a program inside; if the host runs as root, mapped to an unprivileged id outside
_NO_SECCOMP = "a seccomp filter (system calls are listed for x86_64 and aarch64 only)"
_NAMESPACES = (
    syscalls.CLONE_NEWUSER
    | syscalls.CLONE_NEWNS
    | syscalls.CLONE_NEWPID
    | syscalls.CLONE_NEWNET
    | syscalls.CLONE_NEWIPC
    | syscalls.CLONE_NEWUTS
    | syscalls.CLONE_NEWCGROUP
)


@dataclass
class Isolation:
    """The isolation in force.

    Attributes:
        namespaces: whether the worker has its own namespaces and root.
        separate_user: whether programs run as `PROGRAM_USER` rather than as the worker's user.
        landlock: whether the kernel has Landlock.
        seccomp: whether there is a list of system calls for this machine.
        workdir: the folder programs run in.
        missing: required parts that could not be set up, in words.
        readable: folders that programs may read.
        landlock_rules: a Landlock ruleset, as a file descriptor; renewed with each working directory.
        seccomp_filter: BPF for a process that is PID 1 of its namespace.
    """

    namespaces: bool = False
    separate_user: bool = False
    landlock: bool = False
    seccomp: bool = False
    workdir: str = filesystem.WORKDIR
    missing: list[str] = field(default_factory=list)
    readable: list[str] = field(default_factory=list)
    landlock_rules: int | None = None
    seccomp_filter: bytes = b""


def isolate(request_user_mapping: Callable[[], bool]) -> Isolation:
    """Isolate this process and its future children in their own namespaces.

    The process that returns is PID 1 of a new process namespace; the calling process waits for it outside. Where `missing` of
    the result is not empty this process is only half isolated and must not be used.

    Args:
        request_user_mapping: asks the host to write the user id maps; returns whether `PROGRAM_USER` is mapped.
    """
    isolation = _prepare(filesystem.WORKDIR)
    try:
        syscalls.call("unshare", _NAMESPACES)
        isolation.separate_user = request_user_mapping()
        filesystem.enter_private_root(isolation.readable)
        socket.sethostname("sandbox")
        isolation.namespaces = True
    except OSError as error:
        isolation.missing.append(f"separate namespaces ({error.strerror or error})")
    if not isolation.seccomp:
        isolation.missing.append(_NO_SECCOMP)
    if not isolation.missing:
        _fork_namespace_init()
    return isolation


def isolate_in_bubblewrap() -> Isolation:
    """Return the isolation of a process that bubblewrap has put into namespaces and a private root.

    The package, imported by now, and the interpreter's own file are removed from that root.
    """
    isolation = _prepare(filesystem.WORKDIR)
    try:
        for path in (filesystem.PACKAGE, os.path.realpath(sys.executable)):
            syscalls.call("umount2", path.encode(), syscalls.MNT_DETACH)
        isolation.namespaces = True
    except OSError as error:
        isolation.missing.append(f"mounts inside bubblewrap ({error.strerror or error})")
    if not isolation.seccomp:
        isolation.missing.append(_NO_SECCOMP)
    return isolation


def isolate_without_namespaces() -> Isolation:
    """Return what isolates programs where namespaces are not available: Landlock and seccomp if present, and limits."""
    workdir = tempfile.mkdtemp(prefix="sandbox-")
    atexit.register(shutil.rmtree, workdir, ignore_errors=True)
    return _prepare(workdir)


def _prepare(workdir: str) -> Isolation:
    """Prepare the parts that need no privileges, once, so that a child has little left to do."""
    supported = seccomp.is_supported()
    return Isolation(
        seccomp=supported,
        landlock=landlock.abi_version() > 0,
        workdir=workdir,
        readable=filesystem.readable_folders(),
        seccomp_filter=seccomp.build_filter(1) if supported else b"",
    )


def _fork_namespace_init() -> None:
    child = os.fork()
    if child:
        status = os.waitpid(child, 0)[1]
        os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
    syscalls.call("prctl", syscalls.PR_SET_PDEATHSIG, 9)


def reset_workdir(isolation: Isolation, first: bool) -> None:
    """Give the next program an empty working directory; one that is still empty is kept."""
    if not first and not any(Path(isolation.workdir).iterdir()):
        return
    if isolation.namespaces:
        filesystem.mount_workdir(replace=not first)
    else:
        shutil.rmtree(isolation.workdir, ignore_errors=True)
        Path(isolation.workdir).mkdir(mode=0o700, exist_ok=True)
    if isolation.landlock_rules is not None:
        os.close(isolation.landlock_rules)
    if isolation.landlock:
        isolation.landlock_rules = landlock.create_ruleset(isolation.readable, [isolation.workdir], filesystem.DEVICES)


def fork(isolation: Isolation, pidfd: int) -> int:
    """Fork a child that is PID 1 of a new process namespace.

    Args:
        isolation: the isolation in force.
        pidfd: a pidfd of the caller, whose process namespace is where the next one is created.

    Returns:
        0 in the child, its process id in the caller.
    """
    if isolation.namespaces:
        syscalls.call("setns", pidfd, syscalls.CLONE_NEWPID)
        syscalls.call("unshare", syscalls.CLONE_NEWPID)
    return os.fork()


def confine(isolation: Isolation, memory: int, seconds: float) -> None:
    """Give up, in a child and irrevocably, everything a program has no need of.

    Args:
        isolation: the isolation in force.
        memory: bytes of address space.
        seconds: CPU seconds.
    """
    os.chdir(isolation.workdir)
    _limit_resources(memory, seconds)
    if isolation.separate_user:
        os.setgroups([])
        os.setresgid(PROGRAM_USER, PROGRAM_USER, PROGRAM_USER)
        os.setresuid(PROGRAM_USER, PROGRAM_USER, PROGRAM_USER)
    syscalls.drop_capabilities()
    syscalls.call("prctl", syscalls.PR_SET_PDEATHSIG, 9)
    syscalls.call("prctl", syscalls.PR_SET_DUMPABLE, 0)
    syscalls.call("prctl", syscalls.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if isolation.landlock_rules is not None:
        landlock.restrict(isolation.landlock_rules)
        os.close(isolation.landlock_rules)
    if isolation.seccomp:
        pid = os.getpid()
        syscalls.install_filter(isolation.seccomp_filter if pid == 1 else seccomp.build_filter(pid))


def _limit_resources(memory: int, seconds: float) -> None:
    limits = {
        resource.RLIMIT_AS: memory,
        resource.RLIMIT_CPU: int(seconds) + 2,  # a backstop: the supervisor counts finer
        resource.RLIMIT_FSIZE: filesystem.WORKDIR_MIB << 20,
        resource.RLIMIT_NOFILE: 64,
        resource.RLIMIT_NPROC: 256,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MEMLOCK: 0,
        resource.RLIMIT_MSGQUEUE: 0,
    }
    for kind, limit in limits.items():
        resource.setrlimit(kind, (limit, limit))


def address_space() -> int:
    """Return the bytes of address space this process has; every program starts with as much."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    except FileNotFoundError:
        return _measure_address_space()


def _measure_address_space() -> int:
    """Return the address space where there is no /proc: the limit from which on one more page can be mapped."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    page = resource.getpagesize()
    low, high = 0, 1 << 47
    try:
        while high - low > page:
            middle = (low + high) // 2
            resource.setrlimit(resource.RLIMIT_AS, (middle, hard))
            try:
                mmap.mmap(-1, page).close()
                high = middle
            except (OSError, MemoryError):
                low = middle
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    return high


def interpreter() -> str:
    """Return the path of the interpreter outside any virtual environment."""
    return str(getattr(sys, "_base_executable", None) or sys.executable)
