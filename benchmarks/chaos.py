"""Disturb runs in every way and compare what they give with an undisturbed run.

    python benchmarks/chaos.py [--minutes 20] [--seed 0] [--trials N] [--only KIND] [--keep FOLDER]

A trial begins a run of a recipe with every family of stages, or copies the work folder of a finished one, then kills processes,
fills the disk, damages files, or has the server misbehave, and gives the same command again. It is a loss if the outputs differ
in a byte from those of an undisturbed run although the command succeeded, if it does not succeed, if damage is not reported, or
if more replies were paid for twice than were in flight when something was killed. Small disks need root; other trials do not. A
share of the trials trains a model. The last line is JSON; the exit code is 1 if there was a loss, a traceback or a command that
hangs.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

os.environ.update(POLARS_MAX_THREADS="1", OMP_NUM_THREADS="1", TOKENIZERS_PARALLELISM="false")
os.environ["TEXTBOOKGEN_PLUGINS"] = "quality,tinystories,diversity,transformers"  # a trial takes a third of the time

from chaos_tools import PARALLEL, digests, preload, write_corpus
from chaos_trials import KINDS, Baseline, Loss, Trial, server_for


def undisturbed(folder: Path, web: Path, *, training: bool) -> Baseline:
    """Run the recipe twice in different folders, and return the outputs that both runs have."""
    results = []
    for name in ("first", "second"):
        (folder / name).mkdir(parents=True)
        with server_for("", random.Random(0)) as server:
            trial = Trial(folder / name, web, random.Random(0), Baseline({}, 0, 0.0, folder), server, training)
            started = time.monotonic()
            trial.finish()
            results.append((digests(trial.work), server.replies(), time.monotonic() - started))
    (first, replies, _), (second, _, seconds) = results
    differing = sorted(name for name in first.keys() | second.keys() if first.get(name) != second.get(name))
    if differing:
        print(f"undisturbed runs differ, not compared: {differing}", flush=True)
    same = {name: digest for name, digest in first.items() if second.get(name) == digest}
    return Baseline(same, replies, seconds, folder / "first" / "work")


def warm_up(folder: Path, web: Path) -> None:
    """Import all modules that a run imports, so that the forks of this process need not."""
    with server_for("", random.Random(0)) as server:
        folder.mkdir()
        trial = Trial(folder, web, random.Random(0), Baseline({}, 0, 0.0, folder), server)
        names = folder / "modules.json"
        pid = os.fork()
        if not pid:
            try:
                _run_and_list_modules(trial, names)
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
        preload(json.loads(names.read_text()))


def _run_and_list_modules(trial: Trial, names: Path) -> None:
    from textbookgen.cli import main

    sys.argv = ["textbookgen", "recipe", "run", str(trial.recipe), "--work", str(trial.work), "--quiet", "--executor", "serial"]
    sys.stdout = (trial.folder / "log.txt").open("w")
    try:
        main()
    except SystemExit:
        pass
    finally:
        names.write_text(json.dumps(list(sys.modules)))


class Campaign:
    """The trials of one seed, and what they found."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.options, self.folder = options, folder
        self.rng = random.Random(options.seed)
        self.web = folder / "web.jsonl"
        self.losses: list[str] = []
        self.trials: Counter[str] = Counter()
        self.lost: Counter[str] = Counter()
        self.tracebacks = self.hangs = self.extra_max = 0
        write_corpus(self.web)
        warm_up(folder / "warm", self.web)
        self.baselines = {False: undisturbed(folder / "plain", self.web, training=False)}
        print(f"undisturbed: {self.baselines[False].seconds:.1f} s, {self.baselines[False].replies} replies", flush=True)

    def baseline(self, *, training: bool) -> Baseline:
        if training not in self.baselines:
            self.baselines[training] = undisturbed(self.folder / "training", self.web, training=True)
        return self.baselines[training]

    def run(self) -> None:
        """Run trials until the time or their number is reached."""
        kinds = [kind for kind in KINDS if not self.options.only or self.options.only in kind]
        if os.geteuid():
            kinds = [kind for kind in kinds if kind != "full disk"]
        deadline = time.monotonic() + self.options.minutes * 60
        while time.monotonic() < deadline and (not self.options.trials or self.trials.total() < self.options.trials):
            kind = self.rng.choices(kinds, [KINDS[kind][1] for kind in kinds])[0]
            try:
                baseline = self.baseline(training=kind == "kill trainer")
            except Loss as loss:
                print(f"no trials of '{kind}': {loss}", flush=True)
                kinds.remove(kind)
                continue
            self._trial(kind, self.trials.total(), baseline)

    def _trial(self, kind: str, number: int, baseline: Baseline) -> None:
        folder = self.folder / f"trial-{number}"
        folder.mkdir()
        rng = random.Random(f"{self.options.seed}/{number}")
        started, problem = time.monotonic(), ""
        with server_for(kind, rng) as server:
            trial = Trial(folder, self.web, rng, baseline, server, training=kind == "kill trainer")
            try:
                KINDS[kind][0](trial)
                self._check_requests(trial)
            except Loss as loss:
                problem = str(loss)
        for command in trial.commands:
            if command.poll() is None:
                command.kill()
        self._count(kind, trial, problem)
        passed = "passed" if not problem else f"LOST: {problem}"
        print(f"{number + 1:4}  {kind:22} {time.monotonic() - started:5.1f} s  {passed}", flush=True)
        if problem and self.options.keep:
            shutil.copytree(folder, self.options.keep / f"{self.options.seed}-{number}", dirs_exist_ok=True)
        shutil.rmtree(folder, ignore_errors=True)

    def _check_requests(self, trial: Trial) -> None:
        self.extra_max = max(self.extra_max, trial.extra)
        if trial.extra > trial.kills * PARALLEL:
            raise Loss(f"{trial.extra} replies were paid for twice, after {trial.kills} kills with {PARALLEL} in flight")

    def _count(self, kind: str, trial: Trial, problem: str) -> None:
        self.trials[kind] += 1
        self.lost[kind] += bool(problem)
        if problem:
            self.losses.append(f"{kind}: {problem}")
        for command in trial.commands:
            text = command.text
            # what Python and pydantic print when Ctrl-C interrupts a destructor or an import reaches no user as an error
            if text.count("Traceback (most recent") > text.count("Exception ignored in"):
                self.tracebacks += 1
                print(f"TRACEBACK ({kind}):\n{command.text[-3000:]}", flush=True)
            self.hangs += command.code == 124

    def summary(self, seconds: float) -> dict[str, object]:
        by_kind = {kind: {"trials": self.trials[kind], "losses": self.lost[kind]} for kind in sorted(self.trials)}
        return {
            "seed": self.options.seed,
            "trials": self.trials.total(),
            "losses": len(self.losses),
            "by_kind": by_kind,
            "extra_requests_max": self.extra_max,
            "tracebacks": self.tracebacks,
            "hangs": self.hangs,
            "seconds": round(seconds),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--trials", type=int, default=0, help="stop after this many")
    parser.add_argument("--only", default="", metavar="KIND", help="kinds of trials whose names contain this")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="copy the folders of losses here")
    options = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        campaign = Campaign(options, Path(folder))
        campaign.run()
    summary = campaign.summary(time.monotonic() - started)
    print(json.dumps(summary))
    sys.exit(bool(campaign.losses or campaign.tracebacks or campaign.hangs))


if __name__ == "__main__":
    main()
