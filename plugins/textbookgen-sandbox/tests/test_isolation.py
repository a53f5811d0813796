"""The isolation: what it needs, what holds without namespaces, and that no process outlives its host."""

from __future__ import annotations

import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from textbookgen_sandbox import bubblewrap
from textbookgen_sandbox.pool import Outcome, Pool, Program, Worker, choose_walls
from textbookgen_sandbox.stages.tests_pass import PassingTests
from textbookgen_sandbox.worker import landlock, seccomp

from textbookgen.api.errors import PluginError, RunError
from textbookgen.api.stage import StageInputs


def run_python(code: str, *before: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """Run code in a separate interpreter, behind other commands."""
    environment = {"PYTHONPATH": os.pathsep.join(sys.path), "PATH": os.environ["PATH"]}
    command = [*before, sys.executable, "-c", textwrap.dedent(code)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=timeout, check=False)


def test_the_private_root_has_only_the_interpreter(pool: Pool):
    seen = pool.run(
        Program("import os\nfor r in ('/etc', '/proc', '/sys', '/home', '/srv', '/var', '/opt'): print(os.path.exists(r))")
    )
    assert set(seen.stdout.split()) == {"False"}, seen


def test_a_program_is_alone_in_its_namespaces(pool: Pool):
    seen = pool.run(Program("import os\nprint(os.getpid(), os.getppid(), os.getgroups())\nprint(os.uname().nodename)"))
    assert seen.stdout.splitlines()[0].startswith("1 0 ")
    assert seen.stdout.splitlines()[1] == "sandbox"


def _in_reach(folder: Path) -> tuple[str, ...]:
    """Return a command that makes this interpreter readable to all users, if its folder is not, for that command alone."""
    prefix = Path(sys.base_prefix)
    closed = next((each for each in reversed(prefix.parents) if not each.stat().st_mode & stat.S_IXOTH), None)
    if closed is None:
        return ()
    steps = f"""
        mkdir -p {folder}/kept && mount --bind {prefix} {folder}/kept && mount -t tmpfs -o mode=755 tmpfs {closed} &&
        mkdir -p {prefix} && mount --move {folder}/kept {prefix} && exec "$0" "$@"
    """
    return ("unshare", "--mount", "--propagation", "private", "sh", "-c", steps)


def test_an_unprivileged_user_gets_the_same_isolation(pool: Pool, tmp_path: Path):
    if os.geteuid() != 0:
        pytest.skip("these tests are run by an ordinary user already")
    if not shutil.which("setpriv"):
        pytest.skip("setpriv is not installed")
    user = (*_in_reach(tmp_path), "setpriv", "--reuid=12345", "--regid=12345", "--clear-groups", "sh", "-c", 'exec "$0" "$@"')
    if run_python("import textbookgen_sandbox.pool", *user).returncode:
        pytest.skip("an ordinary user cannot read this interpreter, or this checkout")
    done = run_python(
        """
        from textbookgen_sandbox.pool import Pool, Program
        pool = Pool(1, 64)
        for text in ("open('/etc/passwd')", "import os; os.fork()", "import socket; socket.socket()", "open('x', 'w')"):
            print(pool.run(Program(text)).reason)
        print(pool.run(Program("def f(x): return x", "assert f(1) == 1")).ok)
        pool.close()
        """,
        *user,
    )
    assert done.returncode == 0, done
    reading, *others = done.stdout.split("\n")
    assert reading in ("FileNotFoundError", "PermissionError")
    assert others == ["PermissionError", "PermissionError", "", "True", ""]


#: Runs a command where no user namespace can be created: in a user namespace whose limit of them is 0.
NO_NAMESPACES = (
    "unshare",
    "--user",
    "--map-root-user",
    "sh",
    "-c",
    'echo 0 > /proc/sys/user/max_user_namespaces && exec "$0" "$@"',
)


@pytest.fixture(scope="module")
def _without_namespaces() -> None:
    if not shutil.which("unshare") or run_python("print(1)", *NO_NAMESPACES).returncode:
        pytest.skip("cannot disable user namespaces here")


@pytest.mark.usefixtures("_without_namespaces")
def test_a_machine_without_namespaces_is_refused_with_a_hint():
    done = run_python(
        """
        import pathlib
        from textbookgen.api.errors import PluginError
        from textbookgen.api.stage import StageInputs
        from textbookgen_sandbox.stages.tests_pass import PassingTests
        try:
            PassingTests(workers=1).prepare(StageInputs({}, pathlib.Path("."), None))
        except PluginError as error:
            print(error.problem)
            print(error.hint)
        """,
        *NO_NAMESPACES,
    )
    problem, hint = done.stdout.splitlines()
    assert "namespaces" in problem
    assert "unsafe = true" in hint


@pytest.mark.usefixtures("_without_namespaces")
def test_unsafe_runs_programs_there():
    done = run_python(
        """
        from textbookgen_sandbox.pool import Pool, Program
        pool = Pool(1, 64, unsafe=True)
        print(pool.run(Program("def f(x): return x", "assert f(1) == 1")).ok)
        pool.close()
        """,
        *NO_NAMESPACES,
    )
    assert done.stdout == "True\n", done


@pytest.fixture(scope="module")
def degraded() -> Iterator[Worker]:
    """A worker without namespaces, as `unsafe` uses where there are none."""
    if not (seccomp.is_supported() and landlock.abi_version()):
        pytest.skip("neither Landlock nor a seccomp filter here")
    worker = Worker(64, "none")
    yield worker
    worker.close()


WITHOUT_NAMESPACES = {
    "fork": ("import os\nos.fork()", {"PermissionError"}),
    "subprocess": ("import subprocess\nsubprocess.run(['true'])", {"PermissionError", "FileNotFoundError"}),
    "socket": ("import socket\nsocket.socket()", {"PermissionError"}),
    "kill the parent": ("import os\nos.kill(os.getppid(), 9)", {"PermissionError"}),
    "read": ("open('/etc/passwd').read()", {"PermissionError"}),
    "read processes": ("import os\nopen(f'/proc/{os.getppid()}/environ').read()", {"PermissionError"}),
    "list": ("import os\nos.listdir('/')", {"PermissionError"}),
    "write": ("open('/var/tmp/evil', 'w')", {"PermissionError"}),
    "endless loop": ("while True: pass", {"time limit"}),
    "memory": ("x = bytes(1 << 32)", {"memory limit"}),
    "os._exit": ("import os\nos._exit(0)", {"exited early"}),
}


@pytest.mark.parametrize("name", WITHOUT_NAMESPACES)
def test_landlock_seccomp_and_limits_hold_without_namespaces(name: str, degraded: Worker):
    text, reasons = WITHOUT_NAMESPACES[name]
    outcome = degraded.run(Program(text, seconds=1))
    assert outcome.reason in reasons, outcome
    assert degraded.run(Program("open('x', 'w').write('x')", "import os\nassert os.listdir('.') == ['x']")).ok


def test_the_filter_covers_both_architectures(monkeypatch: pytest.MonkeyPatch):
    lengths = set()
    for machine in ("x86_64", "aarch64"):
        monkeypatch.setattr("platform.machine", lambda machine=machine: machine)
        assert seccomp.is_supported()
        program = seccomp.build_filter(1)
        assert len(program) % 8 == 0 and len(program) // 8 < 4096  # the kernel's BPF_MAXINSNS
        lengths.add(len(program))
    assert len(lengths) == 2
    monkeypatch.setattr("platform.machine", lambda: "m68k")
    assert not seccomp.is_supported()


def _descendants(pid: int) -> set[int]:
    """Return the descendants of a process."""
    children = {int(child) for task in Path("/proc", str(pid), "task").glob("*/children") for child in task.read_text().split()}
    return children.union(*map(_descendants, children))


def _alive(pid: int) -> bool:
    try:
        return Path("/proc", str(pid), "stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize("text", ["while True: pass", "import time; time.sleep(600)", "print(1)"])
def test_no_process_outlives_a_killed_host(text: str, pool: Pool):
    start = "from textbookgen_sandbox.pool import Pool, Program\np = Pool(1, 64)\np.check()\nprint('up', flush=True)\n"
    code = f"{start}p.run(Program({text!r}, seconds=600))\ninput()"
    environment = {"PYTHONPATH": os.pathsep.join(sys.path)}
    host = subprocess.Popen([sys.executable, "-c", code], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with host:
        assert host.stdout is not None
        assert host.stdout.readline() == b"up\n"
        time.sleep(0.3)
        descendants = _descendants(host.pid)
        assert descendants
        host.send_signal(signal.SIGKILL)
        host.wait()
        deadline = time.monotonic() + 20
        while any(map(_alive, descendants)) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not any(map(_alive, descendants))


def test_a_program_whose_worker_is_killed_is_tried_again(pool: Pool):
    fresh = Pool(1, 64)
    fresh.check()
    with fresh._worker() as worker:
        worker.process.kill()
        worker.process.wait()
    assert fresh.run(Program("1")).ok
    fresh.close()


def test_a_program_that_ends_its_worker_is_a_verdict(pool: Pool, monkeypatch: pytest.MonkeyPatch):
    fresh = Pool(1, 64)
    run, trivial = Worker.run, "pass"

    def end(worker: Worker, program: Program) -> Outcome:
        if program.text == trivial:
            return run(worker, program)
        raise RunError("a sandbox worker ended unexpectedly")

    monkeypatch.setattr(Worker, "run", end)
    assert fresh.run(Program("1")).reason == "killed"
    trivial = ""  # now no program is served
    with pytest.raises(RunError):
        fresh.run(Program("1"))
    monkeypatch.undo()
    assert fresh.run(Program("1")).ok
    fresh.close()


def test_no_process_is_left_between_programs(pool: Pool):
    with pool._worker() as worker:
        pool_process = worker.process.pid
    pool.run(
        Program(
            "import threading, time\nfor _ in range(9): threading.Thread(target=time.sleep, args=(99,)).start()", seconds=0.2
        )
    )
    assert len(_descendants(pool_process)) == 1  # only the fork server


def test_prepare_accepts_a_machine_with_full_isolation(pool: Pool, tmp_path: Path):
    try:
        PassingTests(workers=1, memory_mib=64).prepare(StageInputs({}, tmp_path, None))  # type: ignore[arg-type]
    except PluginError as error:
        pytest.fail(str(error))


needs_bubblewrap = pytest.mark.skipif(bubblewrap.find() is None, reason="bubblewrap is not installed")


@pytest.fixture(scope="module")
def wrapped() -> Iterator[Pool]:
    """A pool whose workers bubblewrap starts."""
    shared = Pool(1, 64, isolation="bubblewrap")
    try:
        shared.check()
    except (PluginError, RunError) as error:
        shared.close()
        pytest.skip(f"bubblewrap does not run here: {error}")
    yield shared
    shared.close()


IN_BUBBLEWRAP = {
    "only the interpreter": ("import os\nassert any(map(os.path.exists, ('/etc', '/proc', '/sys', '/home', '/srv', '/var')))", "AssertionError"),
    "not the package": ("open('/sandbox/worker/server.py')", "FileNotFoundError PermissionError"),
    "not the interpreter's file": ("import os, sys\nassert os.path.getsize(os.path.realpath(sys.executable))", "AssertionError FileNotFoundError PermissionError"),
    "packages": ("import pydantic", "ModuleNotFoundError"),
    "write": ("import os\nopen(os.__file__, 'a')", "OSError PermissionError"),
    "root": ("open('/evil', 'w')", "OSError PermissionError"),
    "fork": ("import os\nos.fork()", "PermissionError"),
    "signals": ("import os\nos.kill(-1, 9)", "PermissionError"),
    "network": ("import socket\nsocket.socket()", "PermissionError"),
    "environment": ("import os\nassert set(os.environ) - {'PYTHONHASHSEED', 'MALLOC_ARENA_MAX', 'PWD', 'LC_CTYPE'}", "AssertionError"),
    "mount": ("import ctypes\nassert ctypes.CDLL(None).umount2(b'/tmp', 2) == 0", "AssertionError"),
    "memory": ("x = bytes(1 << 30)", "memory limit"),
    "time": ("while True: pass", "time limit"),
    "exit": ("import os\nos._exit(0)", "exited early"),
}  # fmt: skip


@needs_bubblewrap
@pytest.mark.parametrize("name", IN_BUBBLEWRAP)
def test_bubblewrap_holds(name: str, wrapped: Pool):
    text, reasons = IN_BUBBLEWRAP[name]
    outcome = wrapped.run(Program(text, seconds=1))
    assert outcome.reason in re.split(" (?=[A-Z])", reasons), outcome


@needs_bubblewrap
def test_programs_run_in_bubblewrap_as_elsewhere(wrapped: Pool):
    seen = wrapped.run(Program("import os\nprint(os.getpid(), os.getppid(), os.uname().nodename, sorted({'a', 'b', 'c'}))"))
    assert seen.stdout == "1 0 sandbox ['a', 'b', 'c']\n"
    assert wrapped.run(Program("open('x', 'w').write('x')", "assert open('x').read() == 'x'")).ok
    assert wrapped.run(Program("import os\nassert os.listdir('.') == []")).ok
    assert wrapped.run(Program("def f(x): return [x]", "assert f(1) == [1]")).ok


@needs_bubblewrap
def test_bubblewrap_serves_an_unprivileged_user(tmp_path: Path):
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        pytest.skip("the other tests are run by an ordinary user already, or setpriv is not installed")
    user = (*_in_reach(tmp_path), "setpriv", "--reuid=12345", "--regid=12345", "--clear-groups", "sh", "-c", 'exec "$0" "$@"')
    done = run_python(
        """
        from textbookgen_sandbox.pool import Pool, Program, choose_walls
        print(choose_walls("auto"))
        pool = Pool(1, 64, isolation="auto")
        for text in ("open('/etc/passwd')", "import os; os.fork()", "open('x', 'w')", "import os; assert os.getuid() == 12345"):
            print(pool.run(Program(text)).reason)
        print(pool.run(Program("def f(x): return x", "assert f(1) == 1")).ok)
        pool.close()
        """,
        *user,
    )
    if "textbookgen_sandbox" in done.stderr and "ModuleNotFoundError" in done.stderr:
        pytest.skip("an ordinary user cannot read this checkout")
    assert done.returncode == 0, done
    walls, reading, *others = done.stdout.split("\n")
    assert walls == "bubblewrap"
    assert reading in ("FileNotFoundError", "PermissionError")
    assert others == ["PermissionError", "", "", "True", ""], done


def test_bubblewrap_is_asked_for_by_name(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bubblewrap, "find", lambda: None)
    assert choose_walls("auto") == "builtin"
    with pytest.raises(PluginError, match="bubblewrap is not installed"):
        choose_walls("bubblewrap")


def test_address_space_is_measured_without_proc(tmp_path: Path):
    done = run_python(
        "from textbookgen_sandbox.worker import isolation as i; print(i._measure_address_space() / i.address_space())"
    )
    assert abs(float(done.stdout) - 1) < 0.01, done
