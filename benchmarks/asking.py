"""Overhead of requests to a teacher: the whole pipeline against bare HTTP loops, with one loopback server.

    python benchmarks/asking.py [--quick]

The server answers each request after 20 ms with a canned text. The pipeline is a recipe with one generator: draw, render,
request, ledger, parquet. Each measurement runs in a separate process and is timed after its imports; memory is the process's
peak. The last line is JSON for 64 requests in flight and the largest number of requests.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SERVER = Path(__file__).with_name("chat_server.py")
PROMPT = (
    "Write a short story (3 to 5 paragraphs) of words that a small child knows, with the verb {n}, a noun, an adjective. " * 5
)
RECIPE = """
[recipe]
name = "client-overhead"
[teacher.server]
use = "{use}"
model = "{model}"
api_base = "{address}/v1"
max_parallel = {parallel}
[sampler.words]
use = "tinystories/story-constraints"
[stage.stories]
use = "tinystories/story"
teacher = "server"
sampler = "words"
count = {requests}
"""


# -- the candidates, each in a separate process


async def _bare_aiohttp(address: str, requests: int, parallel: int) -> None:
    import aiohttp

    numbers = iter(range(requests))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def worker() -> None:
            for n in numbers:
                body = json.dumps(
                    {"model": "m", "messages": [{"role": "user", "content": PROMPT.replace("{n}", str(n))}]}
                ).encode()
                async with session.post(
                    f"{address}/v1/chat/completions", data=body, headers={"Content-Type": "application/json"}
                ) as answer:
                    assert json.loads(await answer.read())["choices"][0]["message"]["content"]

        await asyncio.gather(*(worker() for _ in range(parallel)))


async def _bare_litellm(address: str, requests: int, parallel: int) -> None:
    import litellm

    numbers = iter(range(requests))

    async def worker() -> None:
        for n in numbers:
            messages = [{"role": "user", "content": PROMPT.replace("{n}", str(n))}]
            answer = await litellm.acompletion(
                model="openai/m", messages=messages, api_base=f"{address}/v1", api_key="none", num_retries=0
            )
            assert answer.choices[0].message.content

    await asyncio.gather(*(worker() for _ in range(parallel)))


def _pipeline(use: str, model: str, address: str, requests: int, parallel: int) -> None:
    from textbookgen.recipe.parser import read_recipe
    from textbookgen.recipe.planner import make_plan
    from textbookgen.recipe.plugin_manager import Plugins
    from textbookgen.run.engine import run_plan
    from textbookgen.storage.workspace import Workspace

    with tempfile.TemporaryDirectory() as folder:
        recipe = Path(folder, "recipe.toml")
        recipe.write_text(RECIPE.format(use=use, model=model, address=address, parallel=parallel, requests=requests))
        plugins = Plugins()
        run_plan(make_plan(read_recipe(recipe), plugins), Workspace(Path(folder, "work")), plugins, executor="serial")
        import polars as pl

        rows = pl.scan_parquet(Path(folder, "work", "steps", "*", "data", "*.parquet")).select(pl.len()).collect().item()
        assert rows == requests, rows


@contextmanager
def _without_ledger() -> Any:
    """Disable the ledger, to measure its share of the cost."""
    from textbookgen.storage.ledger import Ledger

    put, get = Ledger.put, Ledger.get
    Ledger.put, Ledger.get = (lambda *_, **__: None), (lambda *_: None)  # type: ignore[method-assign,assignment]
    try:
        yield
    finally:
        Ledger.put, Ledger.get = put, get  # type: ignore[method-assign]


def _run(name: str, address: str, requests: int, parallel: int) -> None:
    if name == "bare_aiohttp":
        asyncio.run(_bare_aiohttp(address, requests, parallel))
    elif name == "bare_litellm":
        asyncio.run(_bare_litellm(address, requests, parallel))
    elif name == "litellm":
        _pipeline("litellm/chat", "openai/m", address, requests, parallel)
    elif name == "openai":
        _pipeline("openai", "m", address, requests, parallel)
    else:
        with _without_ledger():
            _pipeline("openai", "m", address, requests, parallel)


def _import_first(name: str) -> None:
    """Import what a run needs anyway, before the clock starts."""
    if name != "bare_litellm":
        import aiohttp  # noqa: F401
    if "litellm" in name:
        import litellm  # noqa: F401
    if not name.startswith("bare"):
        import textbookgen.run.engine  # noqa: F401
        from textbookgen.recipe.plugin_manager import Plugins

        Plugins()


def _measure(name: str, address: str, requests: int, parallel: int, profile: bool) -> dict[str, float]:
    _import_first(name)
    if profile:
        return _profile(name, address, requests, parallel)
    wall, cpu = time.perf_counter(), time.process_time()
    _run(name, address, requests, parallel)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"cpu_ms": cpu / requests * 1e3, "requests_per_s": requests / wall, "peak_mib": peak}


def _profile(name: str, address: str, requests: int, parallel: int) -> dict[str, float]:
    import cProfile
    import pstats

    profiler = cProfile.Profile()
    profiler.runcall(_run, name, address, requests, parallel)
    pstats.Stats(profiler, stream=sys.stderr).sort_stats("tottime").print_stats(40)
    return {}


# -- the measurements


@contextmanager
def serving() -> Any:
    """Start the loopback server in a separate process, and yield its address."""
    with subprocess.Popen([sys.executable, str(SERVER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        process.stdin.close()


def measure(name: str, requests: int, parallel: int, *more: str) -> dict[str, float]:
    """Run one measurement in a new process, with a new server."""
    with serving() as address:
        command = [sys.executable, __file__, "--one", name, address, str(requests), str(parallel), *more]
        environment = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="2,000 requests only")
    parser.add_argument("--profile", metavar="NAME", help="print a profile of one candidate")
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        name, address, requests, parallel = options.one
        print(json.dumps(_measure(name, address, int(requests), int(parallel), options.profile is not None)))
        return
    if options.profile:
        measure(options.profile, 1500, 64, "--profile", "yes")
        return
    sizes = (2_000,) if options.quick else (2_000, 10_000)
    figures = {}
    print(f"{'':14}{'parallel':>8}{'requests':>10}{'CPU ms':>9}{'req/s':>8}{'MiB':>6}")
    for requests in sizes:
        for parallel in (64, 256):
            for name in ("bare_aiohttp", "openai", "no_ledger", "bare_litellm", "litellm"):
                result = figures[name, parallel, requests] = measure(name, requests, parallel)
                cpu, rate, peak = result["cpu_ms"], result["requests_per_s"], result["peak_mib"]
                print(f"{name:14}{parallel:>8}{requests:>10,}{cpu:>9.3f}{rate:>8.0f}{peak:>6.0f}", flush=True)
    names = ("openai", "litellm", "bare_aiohttp", "bare_litellm", "no_ledger")
    print(json.dumps({name: {key: round(value, 3) for key, value in figures[name, 64, sizes[-1]].items()} for name in names}))


if __name__ == "__main__":
    main()
