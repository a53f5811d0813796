"""Campaign against the sandbox: cheats, escapes and honest programs, with tests in a separate process and in the same one.

It runs every cheat and escape of the plugin's tests (`plugins/textbookgen-sandbox/tests`) and `--honest` honest programs, and
prints one JSON line: false passes, escapes, false failures, and honest programs judged per CPU second of all processes. The
exit code is 1 if a cheat passed isolated tests, an escape succeeded, or an honest program failed.

    python benchmarks/sandbox_attacks.py --honest 1000 [--data FOLDER] [--isolation builtin]

FOLDER may hold HumanEval.jsonl.gz and mbpp.jsonl.gz, whose reference solutions are honest programs, too.
"""

from __future__ import annotations

import argparse
import gzip
import importlib.util
import json
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from textbookgen_sandbox.pool import Outcome, Pool, Program

TESTS = Path(__file__).parents[1] / "plugins" / "textbookgen-sandbox" / "tests"
MODES = {"separate process": True, "same process": False}


def load(name: str) -> ModuleType:
    """Return a module of the plugin's tests."""
    spec = importlib.util.spec_from_file_location(name, TESTS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run_all(programs: dict[str, Program], options: argparse.Namespace) -> tuple[dict[str, Outcome], float]:
    """Run programs in a new pool; return outcomes by name, and CPU seconds of all processes."""
    pool = Pool(options.workers, 256, isolation=options.isolation)
    pool.check()
    before = time.process_time()
    outcomes = dict(zip(programs, pool.map(programs.values()), strict=True))
    pool.close()
    host = time.process_time() - before
    return outcomes, host + sum(outcome.cpu_seconds + outcome.worker_seconds for outcome in outcomes.values())


def reference_solutions(folder: Path) -> Iterator[tuple[str, str, str]]:
    """Yield name, program and tests of HumanEval and MBPP, as far as the folder has them."""
    for path in sorted(folder.glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            items: list[dict[str, Any]] = [json.loads(line) for line in lines]
        for item in items:
            if "canonical_solution" in item:
                yield (
                    item["task_id"],
                    item["prompt"] + item["canonical_solution"],
                    f"{item['test']}\ncheck({item['entry_point']})",
                )
            elif "test_list" in item:
                tests = "\n".join([item.get("test_setup_code") or "", *item["test_list"]])
                yield f"mbpp/{item['task_id']}", item["code"], tests


def cheat(options: argparse.Namespace) -> dict[str, Any]:
    """Run all cheats in both modes; return their number and those that passed, by mode."""
    cheats = dict(load("cheats").CHEATS)
    attacks = load("attacks")
    cheats |= {name: (attack.text, attack.tests) for name, attack in attacks.ATTACKS.items() if attack.tests}
    result: dict[str, Any] = {"cheats": len(cheats), "false_passes": {}}
    for mode, isolated in MODES.items():
        programs = {name: Program(text, tests, seconds=1, isolate_tests=isolated) for name, (text, tests) in cheats.items()}
        outcomes, _ = run_all(programs, options)
        passed = [name for name, outcome in outcomes.items() if outcome.ok]
        result["false_passes"][mode] = len(passed)
        for name in passed:
            print(f"passed ({mode}): {name}", file=sys.stderr)
    return result


def escape(options: argparse.Namespace) -> dict[str, Any]:
    """Run all attacks on the isolation, which succeed if the program ends without an error; return their number and those."""
    attacks = load("attacks")
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as unix:
        unix.bind("\0sandbox-campaign")
        unix.listen()
        port = str(tcp.getsockname()[1])
        programs = {
            name: Program(attack.text.replace("PORT", port).replace("ABSTRACT", "sandbox-campaign"), "", attack.seconds)
            for name, attack in attacks.ATTACKS.items()
            if not attack.tests
        }
        outcomes, _ = run_all(programs, options)
    escaped = [name for name, outcome in outcomes.items() if outcome.ok]
    for name in escaped:
        print(f"escaped: {name}", file=sys.stderr)
    return {"escapes": len(programs), "escaped": len(escaped)}


def judge_honest(options: argparse.Namespace) -> dict[str, Any]:
    """Run honest programs in both modes; return false failures, and programs per CPU second."""
    honest = [(case.name, case.text, case.tests) for case in load("honest").cases(options.honest, options.seed)]
    if options.data:
        honest += reference_solutions(options.data)
    result: dict[str, Any] = {"honest": len(honest), "false_failures": {}, "programs_per_cpu_second": {}}
    for mode, isolated in MODES.items():
        programs = {name: Program(text, tests, seconds=20, isolate_tests=isolated) for name, text, tests in honest}
        outcomes, used = run_all(programs, options)
        failed = {name: outcome for name, outcome in outcomes.items() if not outcome.ok}
        result["false_failures"][mode] = len(failed)
        result["programs_per_cpu_second"][mode] = round(len(programs) / used, 1)
        for name, outcome in failed.items():
            print(f"failed ({mode}): {name}: {outcome.reason}\n{outcome.stderr[-500:]}", file=sys.stderr)
    return result


def main() -> int:
    """Run the campaign and print its result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--honest", type=int, default=1000, help="number of generated honest programs")
    parser.add_argument("--seed", type=int, default=0, help="of the choice among functions and styles of tests")
    parser.add_argument("--data", type=Path, help="folder with HumanEval.jsonl.gz and mbpp.jsonl.gz")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--isolation", default="builtin", help="builtin or bubblewrap")
    options = parser.parse_args()
    began = time.monotonic()
    result = {"isolation": options.isolation, **cheat(options), **escape(options), **judge_honest(options)}
    print(json.dumps({**result, "seconds": round(time.monotonic() - began)}))
    return int(bool(result["false_passes"]["separate process"] or result["escaped"] or any(result["false_failures"].values())))


if __name__ == "__main__":
    sys.exit(main())
