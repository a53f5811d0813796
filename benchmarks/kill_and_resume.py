"""Kill a run at random moments, resume it, and count lost replies.

    python benchmarks/kill_and_resume.py [--trials 50] [--requests 1000]

Each trial runs a recipe with one generator from the command line; its teacher is a loopback server. When the server has
answered a random number of requests, the process tree is killed (SIGKILL) and the same command is run again. A reply is lost
if the server had sent it and had to send it again: at most as many as were in flight. The finished corpus must equal, byte
for byte, that of an uninterrupted run with one request at a time. The last line is JSON; the exit code is 1 if any of this
was violated.
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
name = "kill-and-resume"
[teacher.server]
use = "openai"
model = "m"
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
TIMEOUT = 120.0


class Trial:
    """One recipe in a folder, and the server it uses."""

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
        """Run to the end; raise TimeoutExpired if it hangs."""
        process = self.start()
        try:
            return process.wait(TIMEOUT)
        finally:
            _kill(process)

    def replies(self) -> dict[str, int]:
        with urlopen(f"{self.address}/stats") as stats:
            return json.load(stats)["replies"]

    def kill_at(self, replies: int) -> int:
        """Run until the server has sent a number of replies, kill all processes, and return how many it had sent by then."""
        process = self.start()
        start = time.monotonic()
        while process.poll() is None and time.monotonic() - start < TIMEOUT:
            if len(self.replies()) >= replies:
                break
            time.sleep(0.005)
        _kill(process)
        return len(self.replies())

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
    """Yield a recipe and a server, removed afterwards."""
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen([sys.executable, str(SERVER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server,
    ):
        yield Trial(Path(folder), f"http://127.0.0.1:{server.stdout.readline().strip()}", parallel, requests)
        server.stdin.close()


def uninterrupted(parallel: int, requests: int) -> str:
    with trial(parallel, requests) as one:
        assert one.finish() == 0
        return one.corpus()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    corpora = {parallel: uninterrupted(parallel, options.requests) for parallel in (1, 64, 256)}
    same = len(set(corpora.values())) == 1
    print(f"uninterrupted with 1, 64 and 256 in flight: {'identical' if same else 'DIFFERENT'}", flush=True)
    lost, failed = [], 0
    for number in range(options.trials):
        parallel = rng.choice((64, 256))
        with trial(parallel, options.requests) as one:
            replies = one.kill_at(rng.randint(1, options.requests))
            code = one.finish()
            repeated = sum(times - 1 for times in one.replies().values())
            passed = code == 0 and repeated <= parallel and one.corpus() == corpora[1]
            if not passed:
                print(f"exit code {code}, corpus {one.corpus()[:8]}, expected {corpora[1][:8]}\n{one.log.read_text()[-2000:]}")
        lost.append(repeated)
        failed += not passed
        print(
            f"{number + 1:3}  {parallel:3} in flight, killed at {replies:5}: {repeated:3} lost{'' if passed else '  FAILED'}",
            flush=True,
        )
    summary = {
        "trials": options.trials,
        "failed": failed,
        "same_corpus": same,
        "max_lost": max(lost),
        "mean_lost": sum(lost) / len(lost),
    }
    print(json.dumps(summary))
    sys.exit(failed > 0 or not same)


if __name__ == "__main__":
    main()
