"""Executors run each task once, raise the first error, and leave no process behind."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from operator import methodcaller
from pathlib import Path

import pytest

from textbookgen.api.errors import RunError
from textbookgen.builtin.executors import Processes, Serial, open_executor

EXECUTORS = ("serial", "processes:2")


@pytest.fixture(params=EXECUTORS)
def executor(request):
    opened = open_executor(request.param)
    yield opened
    opened.close()


# Functions are pickled by name, so these tests use functions of modules that every process can import.
def test_each_task_is_run_once(executor):
    assert sorted(executor.map(math.factorial, range(20))) == [math.factorial(n) for n in range(20)]
    assert list(executor.map(math.factorial, [])) == []


def test_an_executor_can_be_used_after_an_error(executor):
    with pytest.raises(ValueError, match="not defined for negative"):
        list(executor.map(math.factorial, [3, -1, 4]))
    assert list(executor.map(math.factorial, [3])) == [6]


def test_the_first_error_stops_the_remaining_tasks(tmp_path, executor):
    tasks = [tmp_path / "missing" / "folder", *(tmp_path / str(n) for n in range(300))]
    with pytest.raises(FileNotFoundError):
        list(executor.map(methodcaller("mkdir"), tasks))
    assert len(list(tmp_path.iterdir())) < 250  # of 300: tasks that were submitted may be completed


def test_results_are_yielded_while_other_tasks_run():
    executor = open_executor("processes:2")
    results = executor.map(time.sleep, [0, 30])
    started = time.monotonic()
    assert next(results) is None
    assert time.monotonic() - started < 20
    for process in executor._pool._processes.values():
        process.kill()
    with pytest.raises(RunError, match="died"):
        next(results)


def test_few_tasks_are_submitted_at_a_time():
    submitted = []

    def tasks():
        for n in range(100):
            submitted.append(n)
            yield n

    executor = open_executor("processes:2")
    results = executor.map(math.factorial, tasks())
    next(results)
    assert len(submitted) <= 4
    results.close()
    executor.close()


def test_a_dead_worker_is_reported_and_the_next_map_works():
    executor = open_executor("processes:2")
    with pytest.raises(RunError) as caught:
        list(executor.map(os._exit, [1]))
    assert "memory" in caught.value.hint
    assert list(executor.map(math.factorial, [3])) == [6]
    executor.close()


SCRIPT = """
import json, os, sys, time
from textbookgen.builtin.executors import open_executor
import work

executor = open_executor("processes:2")
{body}
"""

WORK = """
import os
from textbookgen.api.errors import RequestRefused

class Unpicklable(Exception):
    def __init__(self, one, two):
        super().__init__(f"{one} {two}")

def refuse(task):
    raise RequestRefused("never", place="here", hint="ask another")

def raise_unpicklable(task):
    raise Unpicklable("cannot be", "pickled")

def frame(task):
    import polars as pl
    total = pl.LazyFrame({"n": range(task)}).select(pl.col("n").sum()).collect(engine="streaming").item()
    return total, pl.thread_pool_size(), os.environ.get("TEXTBOOKGEN_TEST")
"""


def start(folder, body, **options):
    (folder / "work.py").write_text(WORK)
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT.format(body=body)], env=environment, stdout=subprocess.PIPE, text=True, **options
    )


def output(folder, body):
    with start(folder, body) as process:
        printed, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return json.loads(printed)


def test_errors_keep_their_fields_and_unpicklable_ones_their_message(tmp_path):
    body = """
from textbookgen.api.errors import RunError, RequestRefused
try:
    list(executor.map(work.refuse, [1]))
except RequestRefused as error:
    refused = [error.problem, error.place, error.hint]
try:
    list(executor.map(work.raise_unpicklable, [1]))
except RunError as error:
    unpicklable = str(error)
print(json.dumps([refused, unpicklable]))
executor.close()
"""
    refused, unpicklable = output(tmp_path, body)
    assert refused == ["never", "here", "ask another"]
    assert unpicklable.strip() == "Unpicklable: cannot be pickled"


def test_workers_use_polars_with_their_share_of_the_cores_and_the_current_environment(tmp_path):
    body = """
import polars as pl
pl.LazyFrame({"n": range(1000)}).group_by("n").len().collect()
os.environ["TEXTBOOKGEN_TEST"] = "first"
results = list(executor.map(work.frame, [10, 10]))
executor.close()
os.environ["TEXTBOOKGEN_TEST"] = "second"
results += executor.map(work.frame, [10])
print(json.dumps(results))
executor.close()
"""
    share = max(1, len(os.sched_getaffinity(0)) // 2)
    assert output(tmp_path, body) == [[45, share, "first"], [45, share, "first"], [45, share, "second"]]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_workers_exit_when_the_run_is_killed(tmp_path):
    body = """
list(executor.map(time.sleep, [0, 0]))
print(json.dumps([process.pid for process in executor._pool._processes.values()]), flush=True)
list(executor.map(time.sleep, [0, 300]))
"""
    with start(tmp_path, body) as process:
        workers = json.loads(process.stdout.readline())
        time.sleep(0.3)
        process.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 20
    while any(alive(pid) for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(alive(pid) for pid in workers)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0]


def test_names():
    assert isinstance(open_executor("serial"), Serial)
    assert open_executor("processes:3").processes == 3
    assert isinstance(open_executor("processes"), Processes)
    assert open_executor("ray") is None
    for name in ("processes:0", "processes:many"):
        with pytest.raises(RunError, match="invalid number of processes"):
            open_executor(name)
