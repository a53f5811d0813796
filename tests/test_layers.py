from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_import_contracts_are_kept() -> None:
    program = Path(sys.executable).with_name("lint-imports")
    checked = subprocess.run([program], cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout
