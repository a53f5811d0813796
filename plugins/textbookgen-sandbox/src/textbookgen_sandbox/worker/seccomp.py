"""Seccomp filter: the system calls a program may make; all others fail with an error that the program sees.

Threat: a kernel that trusts its callers. Every further call is attack surface, and some start processes, open connections or
act on other processes. Mechanism: an allowlist as a BPF program (seccomp(2)) of what Python needs to compute, to print and to
use files in its working directory. It has no call that starts a process, connects a socket or signals another process, and none
of bpf, io_uring, keyrings, mounts or ptrace.
"""

from __future__ import annotations

import errno
import platform
import struct
from dataclasses import dataclass


def _table(text: str) -> dict[str, int]:
    pairs = (entry.split("=") for entry in text.split())
    return {name: int(number) for name, number in pairs}


_X86_64 = _table("""
    read=0 write=1 readv=19 writev=20 pread64=17 pwrite64=18 preadv=295 pwritev=296 preadv2=327 pwritev2=328 open=2
    openat=257 creat=85 close=3 close_range=436 stat=4 lstat=6 fstat=5 newfstatat=262 statx=332 statfs=137 fstatfs=138
    lseek=8 access=21 faccessat=269 faccessat2=439 getdents=78 getdents64=217 readlink=89 readlinkat=267 getcwd=79
    chdir=80 fchdir=81 mkdir=83 mkdirat=258 rmdir=84 unlink=87 unlinkat=263 rename=82 renameat=264 renameat2=316 link=86
    linkat=265 symlink=88 symlinkat=266 chmod=90 fchmod=91 fchmodat=268 utime=132 utimes=235 futimesat=261 utimensat=280
    truncate=76 ftruncate=77 fallocate=285 fsync=74 fdatasync=75 sync_file_range=277 flock=73 umask=95 copy_file_range=326
    sendfile=40 fadvise64=221 readahead=187 getxattr=191 lgetxattr=192 fgetxattr=193 listxattr=194 llistxattr=195
    flistxattr=196 mmap=9 mprotect=10 munmap=11 mremap=25 madvise=28 msync=26 mincore=27 brk=12 membarrier=324
    rt_sigaction=13 rt_sigprocmask=14 rt_sigreturn=15 rt_sigpending=127 rt_sigtimedwait=128 rt_sigsuspend=130
    sigaltstack=131 signalfd=282 signalfd4=289 pause=34 pipe=22 pipe2=293 dup=32 dup2=33 dup3=292 poll=7 ppoll=271
    select=23 pselect6=270 epoll_create=213 epoll_create1=291 epoll_ctl=233 epoll_wait=232 epoll_pwait=281
    epoll_pwait2=441 eventfd=284 eventfd2=290 timerfd_create=283 timerfd_settime=286 timerfd_gettime=287 recvfrom=45
    sendto=44 recvmsg=47 sendmsg=46 shutdown=48 getsockname=51 getpeername=52 getsockopt=55 setsockopt=54 nanosleep=35
    clock_nanosleep=230 clock_gettime=228 clock_getres=229 gettimeofday=96 time=201 times=100 alarm=37 setitimer=38
    getitimer=36 timer_create=222 timer_settime=223 timer_gettime=224 timer_delete=226 timer_getoverrun=225 sched_yield=24
    sched_getaffinity=204 sched_getparam=143 sched_getscheduler=145 sched_get_priority_max=146 sched_get_priority_min=147
    getpriority=140 getcpu=309 futex=202 futex_waitv=449 set_robust_list=273 get_robust_list=274 set_tid_address=218
    rseq=334 arch_prctl=158 restart_syscall=219 exit=60 exit_group=231 wait4=61 waitid=247 getpid=39 gettid=186
    getppid=110 getuid=102 geteuid=107 getgid=104 getegid=108 getresuid=118 getresgid=120 getgroups=115 getpgrp=111
    getpgid=121 getsid=124 getrlimit=97 setrlimit=160 getrusage=98 sysinfo=99 uname=63 getrandom=318 fcntl=72 ioctl=16
    prctl=157 prlimit64=302 socketpair=53 clone=56 clone3=435 kill=62 tgkill=234
""")

_AARCH64 = _table("""
    read=63 write=64 readv=65 writev=66 pread64=67 pwrite64=68 preadv=69 pwritev=70 preadv2=286 pwritev2=287 openat=56
    close=57 close_range=436 fstat=80 statx=291 statfs=43 fstatfs=44 lseek=62 faccessat=48 faccessat2=439 getdents64=61
    newfstatat=79 readlinkat=78 getcwd=17 chdir=49 fchdir=50 mkdirat=34 unlinkat=35 renameat=38 renameat2=276 linkat=37
    symlinkat=36 fchmod=52 fchmodat=53 utimensat=88 truncate=45 ftruncate=46 fallocate=47 fsync=82 fdatasync=83
    sync_file_range=84 flock=32 umask=166 copy_file_range=285 sendfile=71 fadvise64=223 readahead=213 getxattr=8 lgetxattr=9
    fgetxattr=10 listxattr=11 llistxattr=12 flistxattr=13 mmap=222 mprotect=226 munmap=215 mremap=216 madvise=233 msync=227
    mincore=232 brk=214 membarrier=283 rt_sigaction=134 rt_sigprocmask=135 rt_sigreturn=139 rt_sigpending=136
    rt_sigtimedwait=137 rt_sigsuspend=133 sigaltstack=132 signalfd4=74 pipe2=59 dup=23 dup3=24 ppoll=73 pselect6=72
    epoll_create1=20 epoll_ctl=21 epoll_pwait=22 epoll_pwait2=441 eventfd2=19 timerfd_create=85 timerfd_settime=86
    timerfd_gettime=87 recvfrom=207 sendto=206 recvmsg=212 sendmsg=211 shutdown=210 getsockname=204 getpeername=205
    getsockopt=209 setsockopt=208 nanosleep=101 clock_nanosleep=115 clock_gettime=113 clock_getres=114 gettimeofday=169
    times=153 setitimer=103 getitimer=102 timer_create=107 timer_settime=110 timer_gettime=108 timer_delete=111
    timer_getoverrun=109 sched_yield=124 sched_getaffinity=123 sched_getparam=121 sched_getscheduler=120
    sched_get_priority_max=125 sched_get_priority_min=126 getpriority=141 getcpu=168 futex=98 futex_waitv=449
    set_robust_list=99 get_robust_list=100 set_tid_address=96 rseq=293 restart_syscall=128 exit=93 exit_group=94 wait4=260
    waitid=95 getpid=172 gettid=178 getppid=173 getuid=174 geteuid=175 getgid=176 getegid=177 getresuid=148 getresgid=150
    getgroups=158 getpgid=155 getsid=156 getrlimit=163 setrlimit=164 getrusage=165 sysinfo=179 uname=160 getrandom=278
    fcntl=25 ioctl=29 prctl=167 prlimit64=261 socketpair=199 clone=220 clone3=435 kill=129 tgkill=131
""")

#: By `platform.machine()`: the AUDIT_ARCH value of the kernel, and the allowed calls.
_MACHINES = {"x86_64": (0xC000003E, _X86_64), "aarch64": (0xC00000B7, _AARCH64)}

_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _AND, _RETURN = 0x20, 0x15, 0x35, 0x54, 0x06
_ALLOW, _KILL, _FAIL = 0x7FFF0000, 0x80000000, 0x00050000
_NUMBER, _MACHINE, _ARGUMENTS = 0, 4, 16
_X32 = 0x40000000  # bit of the x32 calling convention of x86_64, whose numbers the list does not cover
_FIRST_UNLISTED = 450  # newer than the list: a C library that gets ENOSYS falls back to an older call

_CLONE_THREAD = 0x00010000
_FIONREAD, _FIONBIO, _FIOCLEX, _FIONCLEX, _TCGETS, _TIOCGWINSZ = 0x541B, 0x5421, 0x5451, 0x5450, 0x5401, 0x5413
_FCNTL = (0, 1, 2, 3, 4, 5, 6, 7, 1030)  # F_DUPFD to F_SETLKW, F_DUPFD_CLOEXEC: no owners, signals, pipe sizes
_PR_SET_NAME, _PR_GET_NAME = 15, 16
_AF_UNIX, _SOCK_STREAM, _SOCK_TYPE = 1, 1, 0xF


@dataclass(frozen=True)
class _Check:
    """Allows a call only if one of its arguments, after a mask, has one of these values."""

    argument: int
    values: tuple[int, ...]
    mask: int = 0xFFFFFFFF


def _checks(pid: int) -> dict[str, tuple[_Check, ...]]:
    """Return the calls that are allowed only with certain arguments; a process may signal only itself, by its id."""
    return {
        "clone": (_Check(0, (_CLONE_THREAD,), _CLONE_THREAD),),
        "ioctl": (_Check(1, (_FIONREAD, _FIONBIO, _FIOCLEX, _FIONCLEX, _TCGETS, _TIOCGWINSZ)),),
        "fcntl": (_Check(1, _FCNTL),),
        "prctl": (_Check(0, (_PR_SET_NAME, _PR_GET_NAME)),),
        "prlimit64": (_Check(0, (0,)),),
        "socketpair": (_Check(0, (_AF_UNIX,)), _Check(1, (_SOCK_STREAM,), _SOCK_TYPE)),
        "kill": (_Check(0, (pid,)),),
        "tgkill": (_Check(0, (pid,)),),
    }


def _instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("<HBBI", code, if_true, if_false, value)


def _fail(number: int) -> bytes:
    return _instruction(_RETURN, _FAIL | number)


def _rule(checks: tuple[_Check, ...]) -> list[bytes]:
    """Return instructions that allow a call or fail it with EPERM, by the lower halves of its arguments."""
    rule: list[bytes] = []
    for check in checks:
        rule.append(_instruction(_LOAD, _ARGUMENTS + 8 * check.argument))
        rule.append(_instruction(_AND, check.mask))
        for place, value in enumerate(check.values, start=1):
            rule.append(_instruction(_JUMP_EQUAL, value, if_true=len(check.values) - place + 1))
        rule.append(_fail(errno.EPERM))
    return [*rule, _instruction(_RETURN, _ALLOW)]


def is_supported() -> bool:
    """Return whether there is a list of calls for this machine."""
    return platform.machine() in _MACHINES


def build_filter(pid: int) -> bytes:
    """Return the filter as BPF, eight bytes an instruction.

    Args:
        pid: the id of the process it is for, in its own process namespace.
    """
    machine, allowed = _MACHINES[platform.machine()]
    checks = _checks(pid)
    code = [_instruction(_LOAD, _MACHINE), _instruction(_JUMP_EQUAL, machine, if_true=1), _instruction(_RETURN, _KILL)]
    code += [_instruction(_LOAD, _NUMBER), _instruction(_JUMP_AT_LEAST, _X32, if_false=1), _instruction(_RETURN, _KILL)]
    for name, number in allowed.items():
        if name == "clone3":  # its flags are in memory, which a filter cannot read: the C library falls back to clone
            rule = [_fail(errno.ENOSYS)]
        else:
            rule = _rule(checks[name]) if name in checks else [_instruction(_RETURN, _ALLOW)]
        code += [_instruction(_JUMP_EQUAL, number, if_false=len(rule)), *rule]
    code += [_instruction(_JUMP_AT_LEAST, _FIRST_UNLISTED, if_false=1), _fail(errno.ENOSYS), _fail(errno.EPERM)]
    return b"".join(code)
