"""Kills a run at random moments, starts it again, and counts what was lost.

    python benchmarks/kills.py [--trials 50] [--requests 1000]

Each trial runs a recipe of one generator, whose teacher is a loopback server, as a user would: from the command line. When
the server has answered a random number of requests, the whole process tree is killed (SIGKILL) and the same command given
again. Lost are replies that had been answered and were asked for again: at most those under way. The finished corpus must
be, byte for byte, that of an undisturbed run with one request at a time. The last line is JSON; the exit code is 1 if
anything was not as promised.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

SERVER = Path(__file__).with_name("chat_server.py")
RECIPE = """
[recipe]
name = "kills"
[teacher.server]
use = "openai"
model = "m"
api_base = "{address}/v1"
max_parallel = {parallel}
[sampler.words]
use = "tinystories/words"
[stage.stories]
use = "tinystories/story"
teacher = "server"
sampler = "words"
count = {requests}
"""
HANGS_AFTER = 120.0


class Trial:
    """One recipe in a folder of its own, and the server it asks."""

    def __init__(self, folder: Path, address: str, parallel: int, requests: int) -> None:
        self.folder, self.address, self.requests = folder, address, requests
        self.recipe = folder / "recipe.toml"
        self.log = folder / "log.txt"
        self.recipe.write_text(RECIPE.format(address=address, parallel=parallel, requests=requests))

    def start(self) -> subprocess.Popen[bytes]:
        command = [
            sys.executable,
            "-m",
            "textbookgen",
            "recipe",
            "run",
            str(self.recipe),
            "--work",
            str(self.folder / "work"),
            "--quiet",
        ]
        with self.log.open("wb") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)

    def finish(self) -> int:
        """Runs to the end; raises TimeoutExpired if it hangs."""
        process = self.start()
        try:
            return process.wait(HANGS_AFTER)
        finally:
            _kill(process)

    def answered(self) -> dict[str, int]:
        with urlopen(f"{self.address}/stats") as stats:
            return json.load(stats)["answered"]

    def kill_at(self, answers: int) -> int:
        """Runs until the server gave so many answers, kills everything, and returns how many it gave by then."""
        process = self.start()
        began = time.monotonic()
        while process.poll() is None and time.monotonic() - began < HANGS_AFTER:
            if len(self.answered()) >= answers:
                break
            time.sleep(0.005)
        _kill(process)
        return len(self.answered())

    def corpus(self) -> str:
        digest = hashlib.sha256()
        for file in sorted((self.folder / "work" / "steps").glob("*/data/*.parquet")):
            digest.update(file.name.encode() + file.read_bytes())
        return digest.hexdigest()


def _kill(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


@contextmanager
def trial(parallel: int, requests: int) -> Iterator[Trial]:
    """A recipe and a server, gone afterwards."""
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen([sys.executable, str(SERVER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server,
    ):
        yield Trial(Path(folder), f"http://127.0.0.1:{server.stdout.readline().strip()}", parallel, requests)
        server.stdin.close()


def undisturbed(parallel: int, requests: int) -> str:
    with trial(parallel, requests) as one:
        assert one.finish() == 0
        return one.corpus()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rng = random.Random(given.seed)
    corpora = {parallel: undisturbed(parallel, given.requests) for parallel in (1, 64, 256)}
    same = len(set(corpora.values())) == 1
    print(f"undisturbed, 1, 64 and 256 at once: {'the same bytes' if same else 'NOT THE SAME'}", flush=True)
    lost, broken = [], 0
    for number in range(given.trials):
        parallel = rng.choice((64, 256))
        with trial(parallel, given.requests) as one:
            answered = one.kill_at(rng.randint(1, given.requests))
            code = one.finish()
            again = sum(times - 1 for times in one.answered().values())
            good = code == 0 and again <= parallel and one.corpus() == corpora[1]
            if not good:
                print(f"exit code {code}, corpus {one.corpus()[:8]} for {corpora[1][:8]}\n{one.log.read_text()[-2000:]}")
        lost.append(again)
        broken += not good
        print(
            f"{number + 1:3}  {parallel:3} at once, killed at {answered:5}: {again:3} lost{'' if good else '  BROKEN'}",
            flush=True,
        )
    told = {
        "trials": given.trials,
        "broken": broken,
        "same_corpus": same,
        "most_lost": max(lost),
        "mean_lost": sum(lost) / len(lost),
    }
    print(json.dumps(told))
    sys.exit(broken > 0 or not same)


if __name__ == "__main__":
    main()
