"""kill -9 at any moment, then the same command: the same bytes, and nothing is asked for twice that was answered."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from test_engine import contents

TRIALS, PARALLEL, DOCUMENTS = 12, 4, 60


def start(folder: Path) -> subprocess.Popen[bytes]:
    script = Path(__file__).with_name("toy_run.py")
    return subprocess.Popen([sys.executable, str(script), str(folder)], start_new_session=True, stderr=subprocess.PIPE)


def whole(folder: Path) -> dict[str, bytes]:
    process = start(folder)
    _, error = process.communicate(timeout=120)
    assert process.returncode == 0, error.decode()
    return contents(folder / "work")


def test_killed_at_random_moments_the_result_is_the_same(tmp_path: Path) -> None:
    (tmp_path / "undisturbed").mkdir()
    began = time.monotonic()
    expected = whole(tmp_path / "undisturbed")
    length = time.monotonic() - began
    disturbed = tmp_path / "disturbed"
    disturbed.mkdir()
    rng, killed = random.Random(7), 0
    for _ in range(TRIALS):
        process = start(disturbed)
        time.sleep(rng.uniform(0.3, 1.0) * length)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            killed += 1
        process.communicate(timeout=60)
    assert whole(disturbed) == expected
    assert killed > 0
    asked = (disturbed / "marks").stat().st_size
    assert DOCUMENTS <= asked <= DOCUMENTS + killed * PARALLEL
    assert not list(disturbed.glob("work/steps/*/*/.part-*"))
