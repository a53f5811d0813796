from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_calls_go_down_the_house() -> None:
    program = Path(sys.executable).with_name("lint-imports")
    found = subprocess.run([program], cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout
