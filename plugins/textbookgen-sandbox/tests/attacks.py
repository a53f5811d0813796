"""Hostile programs. Each is written to succeed if its attack works, so it must fail; those that cheat come with tests."""

from __future__ import annotations

from dataclasses import dataclass

DENIED = {"PermissionError"}
NOT_THERE = {"FileNotFoundError", "PermissionError"}
NO_WRITE = {"OSError", "PermissionError", "FileNotFoundError"}


@dataclass(frozen=True)
class Attack:
    """A hostile program, the reasons it may fail for, its tests if it cheats, and its CPU seconds."""

    text: str
    reasons: set[str]
    tests: str = ""
    seconds: float = 2.0


#: Makes system calls by number, bypassing the checks of Python and the C library.
RAW = """
import ctypes, os, platform
libc = ctypes.CDLL(None, use_errno=True)
def call(x86_64, aarch64, *args):
    number = x86_64 if platform.machine() == "x86_64" else aarch64
    answer = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(a) if isinstance(a, int) else a for a in args])
    if answer < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return answer
"""

PROCESSES = {
    "fork bomb": Attack("import os\nwhile True: os.fork()", DENIED),
    "fork by system call number": Attack(RAW + "call(57, 220, 17, 0, 0, 0, 0)", DENIED),
    "clone3": Attack(RAW + "call(435, 435, bytes(88), 88)", {"OSError"}),
    "clone into new namespaces": Attack(RAW + "call(56, 220, 0x10000000 | 17, 0, 0, 0, 0)", DENIED),
    "subprocess": Attack("import subprocess\nsubprocess.run(['/bin/sh', '-c', 'true'], check=True)", NOT_THERE),
    "os.system": Attack("import os\nassert os.system('true') == 0", {"AssertionError"}),
    "exec": Attack("import os, sys\nos.execv('/usr/bin/python3', ['python3', '-c', 'pass'])", NOT_THERE),
    "daemon by double fork": Attack("import os\nif os.fork() == 0:\n    os.setsid()\n    os.fork()", DENIED),
    "setsid": Attack("import os\nos.setsid()", DENIED),
    "multiprocessing": Attack(
        "import multiprocessing as m\np = m.Process(target=print)\np.start()\np.join()", {*NOT_THERE, "OSError"}
    ),
    "thread bomb": Attack(
        "import threading, time\nwhile True: threading.Thread(target=time.sleep, args=(99,)).start()",
        {"RuntimeError", "memory limit", "time limit"},
    ),
    "thread that outlives the program": Attack(
        "import threading, time\nthreading.Thread(target=time.sleep, args=(99,)).start()", {"time limit"}
    ),
}

SIGNALS = {
    "kill the parent": Attack("import os\nos.kill(os.getppid(), 9)", DENIED),
    "kill all processes": Attack("import os\nos.kill(-1, 9)", DENIED),
    "kill the process group": Attack("import os\nos.killpg(0, 9)", DENIED),
    "kill by process id": Attack("import os\nfor pid in range(2, 99): os.kill(pid, 9)", DENIED),
    "tgkill another process": Attack(RAW + "call(234, 131, 2, 2, 9)", DENIED),
    "tkill another process": Attack(RAW + "call(200, 130, 2, 9)", DENIED),
    "rt_sigqueueinfo": Attack(RAW + "call(129, 138, 2, 9, bytes(128))", DENIED),
    "signal through a pidfd": Attack(
        "import os, signal\nsignal.pidfd_send_signal(os.pidfd_open(1), 9)", {"PermissionError", "OSError"}
    ),
    "clear the parent-death signal": Attack(RAW + "call(157, 167, 1, 0, 0, 0, 0)", DENIED),
    "receive signals through fcntl": Attack("import fcntl, os\nr, w = os.pipe()\nfcntl.fcntl(r, 8, 1)", DENIED),
    "ignore termination signals": Attack(
        "import signal\nfor s in (signal.SIGTERM, signal.SIGINT, signal.SIGXCPU): signal.signal(s, signal.SIG_IGN)\nwhile True: pass",
        {"time limit"},
    ),
}

FILES = {
    "read /etc/passwd": Attack("open('/etc/passwd').read()", NOT_THERE),
    "read /etc/passwd by a relative path": Attack("open('../../../../../../etc/passwd').read()", NOT_THERE),
    "read through a symbolic link": Attack("import os\nos.symlink('/etc/passwd', 'link')\nopen('link').read()", NOT_THERE),
    "hard link": Attack("import os\nos.link('/etc/passwd', 'link')", {*NOT_THERE, "OSError"}),
    "list the root": Attack(
        "import os\nassert set(os.listdir('/')) & {'etc', 'root', 'home', 'proc', 'sys', 'var'}", {"AssertionError", *NOT_THERE}
    ),
    "own /proc entry": Attack("open('/proc/self/maps').read()", NOT_THERE),
    "/proc entry of another process": Attack("open('/proc/1/environ').read()", NOT_THERE),
    "sys": Attack("import os\nos.listdir('/sys/kernel')", NOT_THERE),
    "cgroups": Attack("import os\nos.listdir('/sys/fs/cgroup')", NOT_THERE),
    "write to the library": Attack("import os\nopen(os.__file__, 'a').write('#')", NO_WRITE),
    "write beside the library": Attack("import os\nopen(os.path.dirname(os.__file__) + '/evil.py', 'w')", NO_WRITE),
    "remove from the library": Attack("import os\nos.unlink(os.__file__)", NO_WRITE),
    "write to the root": Attack("open('/evil', 'w')", NO_WRITE),
    "make a folder": Attack("import os\nos.mkdir('/evil')", NO_WRITE),
    "chmod the library": Attack("import os\nos.chmod(os.__file__, 0o4777)", NO_WRITE),
    "import a package of the host": Attack("import pydantic", {"ModuleNotFoundError"}),
    "setuid bit": Attack("import os\nopen('x', 'w')\nos.chmod('x', 0o4755)\nos.chown('x', 0, 0)", DENIED),
    "device node": Attack("import os, stat\nos.mknod('disk', 0o600 | stat.S_IFBLK, os.makedev(254, 0))", DENIED),
    "kernel memory": Attack("open('/dev/mem', 'rb').read(1)", NOT_THERE),
    "kernel log": Attack("open('/dev/kmsg').read(1)", NOT_THERE),
    "disk": Attack("open('/dev/vda', 'rb').read(1)", NOT_THERE),
    "terminal": Attack("open('/dev/tty', 'w')", NO_WRITE),
    "shared memory": Attack("open('/dev/shm/evil', 'w')", NO_WRITE),
    "huge file": Attack("f = open('big', 'wb')\nwhile True: f.write(bytes(1 << 20))", {"OSError"}),
    "huge file by allocation": Attack(
        "import os\nos.posix_fallocate(os.open('big', os.O_CREAT | os.O_WRONLY), 0, 1 << 30)", {"OSError"}
    ),
    "many large files": Attack("for n in range(99):\n    open(str(n), 'wb').write(bytes(8 << 20))", {"OSError"}),
    "many files": Attack("for n in range(100_000): open(str(n), 'w').close()", {"OSError"}),
    "many folders": Attack("import os\nwhile True:\n    os.mkdir('d')\n    os.chdir('d')", {"OSError"}),
    "many open files": Attack("kept = [open('x', 'w') for _ in range(999)]", {"OSError"}),
    "open_by_handle_at": Attack(RAW + "call(304, 265, -100, bytes(64), 0)", DENIED),
    "run a file": Attack("import os\nopen('x', 'w').write('#!/bin/sh')\nos.chmod('x', 0o755)\nos.execv('x', ['x'])", DENIED),
    "load a copied shared library": Attack(
        "import ctypes, glob, shutil, sysconfig\nfound = glob.glob(sysconfig.get_path('stdlib') + '/lib-dynload/_bisect*.so')\n"
        "shutil.copy((found or ['/missing'])[0], './evil.so')\nctypes.CDLL('./evil.so')",
        {"OSError", "FileNotFoundError"},
    ),
}

KERNEL = {
    "mount": Attack(RAW + "call(165, 40, b'none', b'/tmp', b'tmpfs', 0, b'')", DENIED),
    "unmount": Attack(RAW + "call(166, 39, b'/tmp', 2)", DENIED),
    "pivot_root": Attack(RAW + "call(155, 41, b'/tmp', b'/tmp')", DENIED),
    "chroot": Attack("import os\nos.mkdir('d')\nos.chroot('d')", DENIED),
    "new user namespace": Attack(RAW + "call(272, 97, 0x10000000)", DENIED),
    "enter a namespace": Attack(RAW + "call(308, 268, 0, 0)", DENIED),
    "become root": Attack("import os\nos.setuid(0)\nassert os.getuid() == 0", {"PermissionError", "AssertionError"}),
    "change groups": Attack("import os\nos.setgroups([0])", DENIED),
    "take capabilities": Attack(
        RAW + "call(126, 91, b'\\x22\\x05\\x08\\x20' + bytes(4), b'\\xff' * 24)",
        DENIED,
    ),
    "ptrace": Attack(RAW + "call(101, 117, 16, 1, 0, 0)", DENIED),
    "read memory of another process": Attack(RAW + "call(310, 270, 2, 0, 0, 0, 0, 0)", DENIED),
    "compare processes": Attack(RAW + "call(312, 272, 1, 1, 0, 0, 0)", DENIED),
    "copy a descriptor of another process": Attack(RAW + "call(438, 438, 0, 0, 0)", DENIED),
    "bpf": Attack(RAW + "call(321, 280, 0, bytes(128), 128)", DENIED),
    "perf": Attack(RAW + "call(298, 241, bytes(128), 0, -1, -1, 0)", DENIED),
    "io_uring": Attack(RAW + "call(425, 425, 8, bytes(120))", DENIED),
    "userfaultfd": Attack(RAW + "call(323, 282, 0)", DENIED),
    "keyring": Attack(RAW + "call(248, 217, b'user', b'k', b'v', 1, -3)", DENIED),
    "read the keyring": Attack(RAW + "call(250, 219, 0, -3, 0)", DENIED),
    "load a module": Attack(RAW + "call(313, 273, 0, b'', 0)", DENIED),
    "reboot": Attack(RAW + "call(169, 142, 0xfee1dead, 672274793, 0x1234567)", DENIED),
    "host name": Attack("import socket\nsocket.sethostname('evil')", DENIED),
    "set the clock": Attack("import time\ntime.clock_settime(time.CLOCK_REALTIME, 0)", DENIED),
    "raise its priority": Attack("import os\nos.nice(-5)", DENIED),
    "raise its resource limits": Attack(
        "import resource\nresource.setrlimit(resource.RLIMIT_AS, (-1, -1))", {"ValueError", "PermissionError"}
    ),
    "resource limits of another process": Attack(
        "import resource\nresource.prlimit(2, resource.RLIMIT_AS, (1, 1))", {"PermissionError", "ProcessLookupError"}
    ),
    "replace the seccomp filter": Attack(RAW + "call(317, 277, 0, 0, 0)", DENIED),
    "x32 calling convention": Attack(RAW + "call(0x40000000 + 39, 0x40000000 + 39)", {"killed"}),
    "inject terminal input (TIOCSTI)": Attack("import fcntl\nfcntl.ioctl(0, 0x5412, b'x')", {*DENIED, "OSError"}),
    "write memory of another process": Attack(RAW + "call(311, 271, 2, 0, 0, 0, 0, 0)", DENIED),
    "map kernel memory by iopl": Attack(RAW + "call(172, 89, 3)", DENIED),
    "personality without random addresses": Attack(RAW + "call(135, 92, 0x0040000)", DENIED),
    "kernel log by system call": Attack(RAW + "call(103, 116, 3, bytes(64), 64)", DENIED),
    "swap": Attack(RAW + "call(167, 224, b'/tmp/x', 0)", DENIED),
    "process accounting": Attack(RAW + "call(163, 89, b'/tmp/x')", DENIED),
    "another kernel": Attack(RAW + "call(320, 294, 0, 0, 0, 0, 0)", DENIED),
    "watch the file system": Attack(RAW + "call(300, 262, 0, 0)", DENIED),
    "handle of a file": Attack(RAW + "call(303, 264, -100, b'/', bytes(128), bytes(8), 0)", DENIED),
    "open a file system": Attack(RAW + "call(430, 430, b'tmpfs', 0)", DENIED),
    "move a mount": Attack(RAW + "call(429, 429, -100, b'/tmp', -100, b'/usr', 0)", DENIED),
    "clone a mount tree": Attack(RAW + "call(428, 428, -100, b'/', 1)", DENIED),
    "secret memory": Attack(RAW + "call(447, 447, 0)", DENIED),
    "pages into a pipe": Attack(RAW + "call(278, 75, 1, 0, 0, 0)", DENIED),
    "scheduling of another process": Attack("import os\nos.sched_setscheduler(1, os.SCHED_FIFO, os.sched_param(1))", DENIED),
    "processor affinity": Attack("import os\nos.sched_setaffinity(0, {0})", DENIED),
    "make itself dumpable": Attack(RAW + "call(157, 167, 4, 1, 0, 0, 0)", DENIED),
}

NETWORK = {
    "tcp": Attack("import socket\nsocket.create_connection(('1.1.1.1', 80), 1)", DENIED),
    "tcp to localhost": Attack("import socket\nsocket.create_connection(('127.0.0.1', PORT), 1)", DENIED),
    "tcp server": Attack("import socket\nsocket.create_server(('', 8080))", DENIED),
    "udp": Attack("import socket\nsocket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', PORT))", DENIED),
    "ipv6": Attack("import socket\nsocket.socket(socket.AF_INET6)", DENIED),
    "raw": Attack("import socket\nsocket.socket(socket.AF_INET, socket.SOCK_RAW, 1)", DENIED),
    "packets": Attack("import socket\nsocket.socket(socket.AF_PACKET, socket.SOCK_RAW)", DENIED),
    "netlink": Attack("import socket\nsocket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)", DENIED),
    "unix": Attack("import socket\nsocket.socket(socket.AF_UNIX).connect('/run/docker.sock')", DENIED),
    "abstract unix": Attack("import socket\nsocket.socket(socket.AF_UNIX).connect('\\0ABSTRACT')", DENIED),
    "vsock": Attack("import socket\nsocket.socket(40, socket.SOCK_STREAM)", DENIED),
    "datagram socket pair": Attack("import socket\nsocket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)", DENIED),
    "resolve a name": Attack("import socket\nsocket.getaddrinfo('example.org', 80)", {"OSError", "PermissionError"}),
    "http": Attack("import urllib.request\nurllib.request.urlopen('http://127.0.0.1:PORT/')", {"OSError", "PermissionError"}),
    "socket by system call number": Attack(RAW + "call(41, 198, 2, 1, 0)", DENIED),
}

EXHAUSTION = {
    "one large object": Attack("x = bytes(1 << 34)", {"memory limit"}),
    "many small objects": Attack("x = []\nwhile True: x.append([0] * 999)", {"memory limit"}),
    "doubling": Attack("x = 'a'\nwhile True: x += x", {"memory limit"}),
    "mapped memory": Attack("import mmap\nkept = [mmap.mmap(-1, 1 << 26) for _ in range(99)]", {"OSError", "memory limit"}),
    "memory file": Attack("import os\nos.memfd_create('x')", DENIED),
    "system V memory": Attack(RAW + "call(29, 194, 0, 1 << 30, 0o1600)", DENIED),
    "message queue": Attack(RAW + "call(68, 186, 0, 0o1600)", DENIED),
    "posix queue": Attack(RAW + "call(240, 180, b'q', 0o102, 0o600, 0)", DENIED),
    "locked memory": Attack(RAW + "call(151, 230, 3)", DENIED),
    "large pipes": Attack("import fcntl, os\nr, w = os.pipe()\nfcntl.fcntl(w, 1031, 1 << 20)", DENIED),
    "endless loop": Attack("while True: pass", {"time limit"}, seconds=1),
    "sleep": Attack("import time\ntime.sleep(1000)", {"time limit"}, seconds=0.5),
    "blocking read": Attack("import os\nr, w = os.pipe()\nos.read(r, 1)", {"time limit"}, seconds=0.5),
    "deadlock": Attack("import threading\nl = threading.Lock()\nl.acquire()\nl.acquire()", {"time limit"}, seconds=0.5),
    "regular expression with catastrophic backtracking": Attack(
        "import re\nre.match('(a+)+$', 'a' * 40 + 'b')", {"time limit"}, seconds=1
    ),
    "large power": Attack("9 ** 9 ** 9", {"time limit", "memory limit"}, seconds=1),
    "loop while compiling": Attack(
        "x = 9 ** 9 ** 9 ** 9 if 0 else " + "(" * 150 + "1" + ")" * 150 + "\nwhile 1: x",
        {"time limit", "SyntaxError"},
        seconds=1,
    ),
    "loop at exit": Attack("import atexit\n@atexit.register\ndef f():\n    while True: pass", {"time limit"}, seconds=1),
    "busy threads": Attack(
        "import threading\ndef f():\n    while True: pass\nfor _ in range(8): threading.Thread(target=f).start()",
        {"time limit"},
        seconds=1,
    ),
    "endless output": Attack("while True: print('x' * 999)", {"output limit"}),
    "endless stderr": Attack("import sys\nwhile True: sys.stderr.write('x' * 999)", {"output limit"}),
    "output past sys.stdout": Attack("import os\nwhile True: os.write(1, b'x' * 999)", {"output limit"}),
    "endless report": Attack("import os\nwhile True: os.write(3, b'x' * 999)", {"output limit"}),
    "deep recursion": Attack(
        "import sys\nsys.setrecursionlimit(10**9)\ndef f(): f()\nf()",
        {"killed", "memory limit", "RecursionError", "SystemError", "time limit"},
        seconds=5,
    ),
    "deep recursion in C": Attack(
        "import sys\nsys.setrecursionlimit(10**9)\nx = []\nfor _ in range(10**6): x = [x]\nrepr(x)",
        {"killed", "memory limit", "RecursionError", "SystemError", "time limit"},
        seconds=5,
    ),
}

CRASHES = {
    "null pointer": Attack("import ctypes\nctypes.string_at(0)", {"killed"}),
    "abort": Attack("import os\nos.abort()", {"killed"}),
    "invalid bytecode": Attack(
        "import types\ndef f(): pass\nexec(f.__code__.replace(co_code=bytes([100, 200] * 50), co_consts=()))",
        {"killed", "SystemError", "time limit", "exited early"},
    ),
    "overwrite interpreter memory": Attack(
        "import ctypes\nctypes.memset(id(type), 0x41, 4096)", {"killed", "exited early", "time limit"}
    ),
    "own SIGSEGV": Attack(
        "import os, signal\nsignal.signal(signal.SIGSEGV, signal.SIG_DFL)\nimport ctypes\nctypes.memset(1, 0, 1)", {"killed"}
    ),
}

EARLY = {
    "os._exit": Attack("import os\nos._exit(0)", {"exited early"}),
    "exit_group by system call number": Attack(RAW + "call(231, 94, 0)", {"exited early"}),
    "os._exit from a thread": Attack(
        "import os, threading, time\nthreading.Thread(target=os._exit, args=(0,)).start()\ntime.sleep(9)", {"exited early"}
    ),
    "leave at exit": Attack("import atexit, os\natexit.register(os._exit, 0)", {"exited early"}),
    "forged report": Attack("import os\nos.write(3, b'{\"ended\": true}\\n')\nos._exit(0)", {"exited early"}),
    "forged report on every descriptor": Attack(
        'import os\nfor fd in range(64):\n    try: os.write(fd, b\'{"ended": true, "key": ""}\\n\')\n    except OSError: pass\nos._exit(0)',
        {"exited early"},
    ),
    "unknown reason": Attack('import os\nos.write(3, b\'{"raised": "Everything is fine"}\\n\')\nos._exit(0)', {"exited early"}),
    "malformed report": Attack("import os\nos.write(3, b'[' * 9999 + b'\\n')\nos._exit(0)", {"exited early"}),
}

#: The tests that the cheats below must not pass.
EXERCISE = """
def check(candidate):
    assert candidate(2) == 4
    assert candidate(-3) == 9
    assert abs(candidate(0.5) - 0.25) < 1e-6

check(square)
"""
_ANY = {
    "KeyError",
    "Exception",
    "FileNotFoundError",
    "RuntimeError",
    "memory limit",
    "AssertionError",
    "TypeError",
    "exited early",
    "SystemExit",
    "NameError",
    "killed",
    "time limit",
    "ValueError",
    "AttributeError",
}
_EVIL = """
class Evil:
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __lt__(self, other): return True
    __le__ = __gt__ = __ge__ = __lt__
    def __hash__(self): return 0
    def __bool__(self): return True
    def __abs__(self): return self
    def __float__(self): return 0.0
    def __sub__(self, other): return DIFFERENCE
    __rsub__ = __sub__
def square(x): return Evil()
"""

CHEATS = {
    name: Attack(text, _ANY, EXERCISE)
    for name, text in {
        "os._exit before the tests": "import os\nos._exit(0)",
        "sys.exit before the tests": "import sys\nsys.exit(0)",
        "raise SystemExit before the tests": "raise SystemExit",
        "os._exit when called": "import os\ndef square(x): os._exit(0)",
        "SystemExit when called": "def square(x): raise SystemExit(0)",
        "sys.exit as the function": "import sys\nsquare = sys.exit",
        "exit as the function": "square = exit",
        "print as the function": "square = print",
        "mock.ANY as the result": "from unittest.mock import ANY\ndef square(x): return ANY",
        "equal to everything": _EVIL.replace("DIFFERENCE", "self"),
        "difference of zero to everything": _EVIL.replace("DIFFERENCE", "0.0"),
        "float subclass equal to everything": "class F(float):\n    def __eq__(s, o): return True\n    __hash__ = float.__hash__\n    def __sub__(s, o): return 0.0\ndef square(x): return F(7)",
        "int subclass equal to everything": "class I(int):\n    def __eq__(s, o): return True\n    __hash__ = int.__hash__\ndef square(x): return I(7)",
        "forged __class__": "class C:\n    __class__ = int\n    def __eq__(s, o): return True\ndef square(x): return C()",
        "redefined abs": "def abs(x): return 0\ndef square(x): return x * x if x in (2, -3) else 7",
        "patched AssertionError": "import builtins\nbuiltins.AssertionError = type('A', (Exception,), {})\ndef square(x): return 0",
        "disabled asserts": "import sys\nsys.flags = None\n__debug__ or 0\ndef square(x): return 0",
        "patched builtins": "import builtins\nbuiltins.abs = lambda x: 0\nbuiltins.exec = builtins.compile = lambda *a: None\ndef square(x): return 0",
        "patched exception hooks": "import sys\nsys.excepthook = lambda *a: None\nsys.unraisablehook = lambda *a: None\ndef square(x): return 0",
        "leave at exit": "import atexit, os\natexit.register(os._exit, 0)\ndef square(x): return 0",
        "trace function": "import sys\ndef t(frame, event, arg):\n    if event == 'exception': raise SystemExit(0)\n    return t\nsys.settrace(t)\ndef square(x): return 0",
        "profile function": "import os, sys\nsys.setprofile(lambda *a: os._exit(0))\ndef square(x): return 0",
        "import hook": "import sys\nclass L:\n    def find_spec(self, *a): raise SystemExit(0)\nsys.meta_path.insert(0, L())\ndef square(x): return 0",
        "tests rewritten in memory": (
            "import gc\nfor o in gc.get_objects():\n    if isinstance(o, dict):\n        for k in list(o):\n            if k == 'tests': o[k] = 'pass'\ndef square(x): return 0"
        ),
        "report key read from frames": (
            "import json, os, sys\nf = sys._getframe()\nwhile f:\n    for k, v in list(f.f_locals.items()):\n        if k == 'key':\n"
            "            os.write(3, json.dumps({'ended': True, 'key': v}).encode() + b'\\n'); os._exit(0)\n    f = f.f_back\ndef square(x): return 0"
        ),
        "report key read from the heap": (
            "import gc, json, os\nkeys = {v for o in gc.get_objects() if isinstance(o, dict) for v in o.values() if isinstance(v, str) and len(v) == 32}\n"
            "for v in keys: os.write(3, json.dumps({'ended': True, 'key': v}).encode() + b'\\n')\nos._exit(0)"
        ),
        "forged report": "import os\nos.write(3, b'{\"ended\": true}\\n' * 3)\nos._exit(0)",
        "forged report when called": "import os\ndef square(x):\n    os.write(3, b'{\"ended\": true}\\n')\n    os._exit(0)",
        "forged report on every descriptor, then wait": "import os\nfor fd in range(3, 64):\n    try: os.write(fd, b'{\"ended\": true}\\n')\n    except OSError: pass\nimport time; time.sleep(9)",
        "harness patched through the heap": (
            "import gc, types\nfor o in gc.get_objects():\n    if isinstance(o, types.FunctionType) and o.__module__ and 'worker' in o.__module__:\n"
            "        o.__code__ = (lambda *a, **k: {'ended': True}).__code__\ndef square(x): return 0"
        ),
        "harness patched through sys.modules": "import sys\nfor n, m in list(sys.modules.items()):\n    if 'worker' in n: m.__dict__.clear()\ndef square(x): return 0",
        "forged RPC reply": (
            "import json, os, struct\nm = json.dumps({'value': ['dict', ['square', ['builtin', 'bool']]]}).encode()\n"
            "os.write(4, (struct.pack('<I', len(m)) + m) * 99)\nimport time; time.sleep(9)"
        ),
        "RPC: unexpected requests": (
            "import json, os, struct\nm = json.dumps({'do': 'call', 'on': 0, 'args': [], 'named': {}}).encode()\n"
            "os.write(4, (struct.pack('<I', len(m)) + m) * 99)\nimport time; time.sleep(9)"
        ),
        "RPC: forbidden names": (
            "import json, os, struct\nm = json.dumps({'value': ['dict', ['square', ['shared', 'os', '_exit']]]}).encode()\n"
            "os.write(4, (struct.pack('<I', len(m)) + m) * 99)\nimport time; time.sleep(9)"
        ),
        "RPC: deep nesting": "import os, struct\nos.write(4, struct.pack('<I', 200000) + b'[' * 200000)\nimport time; time.sleep(9)",
        "RPC: huge length": "import os\nos.write(4, b'\\xff' * 64)\nimport time; time.sleep(9)",
        "RPC: closed socket": "import os\nos.close(4)\ndef square(x): return 0",
        "never return": "import time\ndef square(x): time.sleep(999)",
        "generator as the result": "def square(x):\n    while True: yield x\nsquare = lambda x, s=square: list(s(x))",
        "kill the process of the tests": "import os\nfor pid in range(2, 50):\n    try: os.kill(pid, 9)\n    except OSError: pass\ndef square(x): return 0",
        "shadowed AssertionError": "class AssertionError(Exception): pass\ndef square(x): raise AssertionError",
        "read the tests from a file": "import os\ndef square(x): return open('tests.py').read()",
        "read the answer from stdin": "import sys\ndef square(x): return eval(sys.stdin.read() or '7')",
    }.items()
}

_SAME_RESULT = """
class Evil:
    def answer(self, *args): return ANSWER
    __sub__ = __rsub__ = __add__ = __mul__ = __mod__ = __floordiv__ = __pow__ = __and__ = __round__ = __int__ = __float__ = __abs__ = __neg__ = answer
    __index__ = __divmod__ = __xor__ = __radd__ = __rmod__ = __isub__ = __call__ = answer
    def __eq__(self, other): return True
    def __hash__(self): return 0
def square(x): return Evil()
"""

#: Other ways to compare, which an object that answers everything alike must not pass.
CHEATS |= {
    f"object that answers {answer}, compared {name}": Attack(_SAME_RESULT.replace("ANSWER", answer), _ANY, tests)
    for answer in ("self", "0", "0.0", "False")
    for name, tests in {
        "by difference": "assert square(2) - 4 == 0",
        "by difference the other way": "assert 4 - square(2) == 0",
        "by rounding": "assert round(square(2) - 4, 6) == 0",
        "by int": "assert int(square(2) - 4) == 0",
        "by float": "assert float(square(2) - 4) == 0",
        "by remainder": "assert square(2) % 4 == 0",
        "by exclusive or": "assert not square(2) ^ 4",
        "in place": "x = square(2)\nx -= 4\nassert abs(x) < 1e-9",
        "by isclose": "import math\nassert math.isclose(square(2), 4)",
        "by unittest": "import unittest\nclass T(unittest.TestCase):\n    def test(self): self.assertAlmostEqual(square(2), 4)\nunittest.main()",
        "by membership": "assert square(2) in (4,)",
        "by order": "assert 3 < square(2) < 5",
        "by set": "assert {square(2)} == {4}",
        "by dictionary": "assert {4: 1}[square(2)]",
        "in a list": "assert [square(2)] == [4]",
        "by index": "assert 'abcde'[square(2)] == 'e'",
        "by sum": "assert sum([square(2), -4]) == 0",
    }.items()
} | {
    "SystemExit subclass": Attack("class E(SystemExit): code = 0\ndef square(x): raise E(0)", _ANY, EXERCISE),
    "SystemExit subclass, under unittest": Attack(
        "class E(SystemExit): pass\ndef square(x): raise E(0)", _ANY, "import unittest\nclass T(unittest.TestCase):\n    def test(self): assert square(2) == 4\nunittest.main()"
    ),
    "interrupt": Attack("def square(x): raise KeyboardInterrupt", {*_ANY, "KeyboardInterrupt"}, EXERCISE),
    "generator exit": Attack("def square(x): raise GeneratorExit", {*_ANY, "GeneratorExit"}, EXERCISE),
    "StopIteration in a loop": Attack("def square(x): raise StopIteration", _ANY, "for got, want in zip(map(square, [2, 3]), [4, 9]): assert got == want\nassert square(4) == 16"),
    "StopIteration in the only loop": Attack("def square(x): raise StopIteration", _ANY, "for got, want in zip(map(square, [2, 3]), [4, 9]): assert got == want"),
    "os._exit inside try": Attack("import os\ndef square(x): os._exit(0)", _ANY, "try:\n    square(2)\nexcept Exception: pass"),
    "os._exit inside a bare except": Attack("import os\ndef square(x): os._exit(0)", _ANY, "try:\n    square(2)\nexcept: pass"),
    "RPC: names that were not requested": Attack(
        "import json, os, struct\nm = json.dumps({'value': ['dict', ['check', ['builtin', 'print']], ['__builtins__', ['dict']], ['square', ['builtin', 'abs']]],"
        " 'globals': {'check': ['builtin', 'print'], 'square': 4}}).encode()\nos.write(4, (struct.pack('<I', len(m)) + m) * 99)\nimport time; time.sleep(9)",
        _ANY,
        EXERCISE,
    ),
}  # fmt: skip

ATTACKS = {
    f"{family}: {name}": attack
    for family, attacks in {
        "processes": PROCESSES,
        "signals": SIGNALS,
        "files": FILES,
        "kernel": KERNEL,
        "network": NETWORK,
        "exhaustion": EXHAUSTION,
        "crashes": CRASHES,
        "early": EARLY,
        "cheats": CHEATS,
    }.items()
    for name, attack in attacks.items()
}
