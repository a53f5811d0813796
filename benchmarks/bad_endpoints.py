"""Runs with a failing teacher: rows, failures, requests, seconds and exit code for each kind of fault.

    python benchmarks/bad_endpoints.py [--requests 1000] [--parallel 64]

Each case is a recipe with one generator, run from the command line against a loopback server that fails for some prompts. The
last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.request import urlopen

import polars as pl

SERVER = Path(__file__).with_name("chat_server.py")
RECIPE = """
[recipe]
name = "bad-endpoints"
[teacher.server]
use = "openai"
model = "m"
api_base = "{address}/v1"
max_parallel = {parallel}
timeout = 3.0
max_tokens = 400
[sampler.words]
use = "tinystories/story-constraints"
[stage.stories]
use = "tinystories/story"
teacher = "server"
sampler = "words"
count = {requests}
max_failures = 1.0
"""
CASES: dict[str, tuple[str, ...]] = {
    "clean": (),
    "5% one 429, wait 1 s": ("0.05:429x1@1",),
    "5% three 500s": ("0.05:500x3",),
    "5% connection dropped once": ("0.05:dropx1",),
    "1% hang once": ("0.01:hangx1",),
    "5% malformed JSON once": ("0.05:malformedx1",),
    "5% no choices once": ("0.05:emptyx1",),
    "1% always 400": ("0.01:400",),
    "all truncated at max_tokens": ("1.0:truncate",),
}


def run(faults: tuple[str, ...], requests: int, parallel: int) -> dict[str, float]:
    """Run one case, and return what the user got and what the server received."""
    options = [part for item in faults for part in ("--fault", item)]
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(
            [sys.executable, str(SERVER), *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as server,
    ):
        address = f"http://127.0.0.1:{server.stdout.readline().strip()}"
        recipe = Path(folder, "recipe.toml")
        recipe.write_text(RECIPE.format(address=address, parallel=parallel, requests=requests))
        work = Path(folder, "work")
        command = [sys.executable, "-m", "textbookgen", "recipe", "run", str(recipe), "--work", str(work), "--quiet"]
        start = time.monotonic()
        code = subprocess.run(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=300, check=False
        ).returncode
        seconds = time.monotonic() - start
        with urlopen(f"{address}/stats") as stats:
            requests_by_prompt = json.load(stats)["requests"]
        server.stdin.close()
        steps = Path(folder, "work", "steps")
        rows, failures = (_rows(steps, kind) for kind in ("data", "failures"))
    return {
        "exit": code,
        "rows": rows,
        "failures": failures,
        "requests": sum(requests_by_prompt.values()),
        "max_per_prompt": max(requests_by_prompt.values(), default=0),
        "seconds": seconds,
    }


def _rows(steps: Path, kind: str) -> int:
    return sum(pl.scan_parquet(file).select(pl.len()).collect().item() for file in steps.glob(f"*/{kind}/*.parquet"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--parallel", type=int, default=64)
    options = parser.parse_args()
    results = {}
    print(f"{'':28}{'exit':>5}{'rows':>6}{'failures':>9}{'requests':>9}{'max per prompt':>15}{'seconds':>8}")
    for name, faults in CASES.items():
        case = results[name] = run(faults, options.requests, options.parallel)
        counts = f"{case['exit']:>5}{case['rows']:>6}{case['failures']:>9}{case['requests']:>9}{case['max_per_prompt']:>15}"
        print(f"{name:28}{counts}{case['seconds']:>8.1f}", flush=True)
    print(json.dumps(results))


if __name__ == "__main__":
    main()
