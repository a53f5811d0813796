"""A run that is killed at any moment and started again gives the same bytes, and sends no request twice that was answered."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from test_engine import contents

PARALLEL = 4


def start(folder: Path, recipe: str) -> subprocess.Popen[bytes]:
    script = Path(__file__).with_name("toy_run.py")
    return subprocess.Popen([sys.executable, str(script), str(folder), recipe], start_new_session=True, stderr=subprocess.PIPE)


def complete(folder: Path, recipe: str) -> dict[str, bytes]:
    process = start(folder, recipe)
    _, error = process.communicate(timeout=120)
    assert process.returncode == 0, error.decode()
    return contents(folder / "work")


@pytest.mark.parametrize(("recipe", "trials"), [("toy", 12), ("graded", 8)])
def test_runs_killed_at_random_moments_give_the_same_result(tmp_path: Path, recipe: str, trials: int) -> None:
    (tmp_path / "uninterrupted").mkdir()
    started = time.monotonic()
    expected = complete(tmp_path / "uninterrupted", recipe)
    duration = time.monotonic() - started
    interrupted = tmp_path / "interrupted"
    interrupted.mkdir()
    rng, killed = random.Random(7), 0
    for _ in range(trials):
        process = start(interrupted, recipe)
        time.sleep(rng.uniform(0.3, 1.0) * duration)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            killed += 1
        process.communicate(timeout=60)
    assert complete(interrupted, recipe) == expected
    assert killed > 0
    needed = (tmp_path / "uninterrupted" / "requests").stat().st_size
    assert needed <= (interrupted / "requests").stat().st_size <= needed + killed * PARALLEL
    assert not list(interrupted.glob("work/steps/*/*/.part-*"))
