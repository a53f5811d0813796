"""Measure how many programs the sandbox checks per second on one core, in CPU time (of all processes) and wall-clock time.

Run it as `python benchmarks/speed.py [checks]`. On a busy machine only the CPU time is meaningful.
"""

from __future__ import annotations

import resource
import sys
import time

from textbookgen_sandbox.pool import Pool, Program

FUNCTION = "def add(a, b):\n    return a + b\n"
TESTS = "assert add(1, 2) == 3\nassert add(-1, 1) == 0\nassert add(0.5, 0.25) == 0.75\n"
KINDS = {
    "program alone": Program(FUNCTION + TESTS),
    "tests in the same process": Program(FUNCTION, TESTS, isolate_tests=False),
    "tests in a separate process": Program(FUNCTION, TESTS),
    "separate tests, 100 calls": Program(FUNCTION, "for i in range(100): assert add(i, 1) == i + 1\n"),
    "file written": Program("with open('x', 'w') as f: f.write('x')\n"),
    "page of three snippets": Program("```python\nprint(1)  # 1\n```\n\nText.\n\n" * 3, is_page=True),
}


def cpu() -> float:
    """Return the CPU seconds of this process and of its children that have ended."""
    return sum(
        used.ru_utime + used.ru_stime for used in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def measure(program: Program, checks: int) -> tuple[float, float]:
    """Return CPU and wall-clock seconds of this many checks on one worker, without its start."""
    used, took = [], []
    for count in (1, 1 + checks):  # the difference is the checks alone
        before, began = cpu(), time.perf_counter()
        pool = Pool(1, 256)
        for _ in range(count):
            outcome = pool.run(program)
            assert outcome.ok, outcome
        took.append(time.perf_counter() - began)
        pool.close()
        used.append(cpu() - before)
    return used[1] - used[0], took[1] - took[0]


def main() -> None:
    """Measure each kind of check."""
    checks = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    print(f"{'':28}{'per CPU second':>15}{'CPU ms each':>14}{'per second':>12}{'ms each':>10}")
    for name, program in KINDS.items():
        used, took = measure(program, checks)
        print(
            f"{name:28}{checks / used:>15.0f}{1000 * used / checks:>14.2f}{checks / took:>12.0f}{1000 * took / checks:>10.2f}"
        )


if __name__ == "__main__":
    main()
