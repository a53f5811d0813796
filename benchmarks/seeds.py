"""Run a recipe with several seeds and print the figures of its reports with mean and standard deviation.

python benchmarks/seeds.py recipes/reasoning.toml --seeds 1 2 3 [--together] [--only accuracy] [--out docs/reasoning.md]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


def start(recipe: Path, work: Path, seed: int, *, single_process: Iterable[str] = ()) -> subprocess.Popen[bytes]:
    """Start a run of the recipe with this seed; the models in `single_process` use one process and one thread each.

    The number of processes changes the speed of training, and the loss only by rounding.
    """
    sets = [
        f"recipe.seed={seed}",
        *(f"stage.{label}.{key}=1" for label in single_process for key in ("tensor_parallel", "gpus", "threads")),
    ]
    command = [sys.executable, "-m", "textbookgen", "recipe", "run", str(recipe), "--work", str(work / f"seed-{seed}")]
    command += ["--executor", "serial" if single_process else "processes"]
    for item in sets:
        command += ["--set", item]
    return subprocess.Popen(command, cwd=ROOT)


def run_all(recipe: Path, work: Path, seeds: Sequence[int], *, single_process: Iterable[str] = ()) -> dict[int, dict[str, Any]]:
    """Return the summary of each seed's run. Runs are concurrent if `single_process` names models, else sequential."""
    running = []
    for seed in seeds:
        running.append(start(recipe, work, seed, single_process=single_process))
        if not single_process:
            running[-1].wait()
    if any(item.wait() not in (0, 3) for item in running):
        sys.exit("a run failed: see its error above")
    return {seed: figures(work, seed) for seed in seeds}


def figures(work: Path, seed: int) -> dict[str, Any]:
    """Return the summary of a seed's run."""
    command = [sys.executable, "-m", "textbookgen", "run", "show", "--json", "--work", str(work / f"seed-{seed}")]
    shown = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return dict(json.loads(shown.stdout))


def spread(values: Sequence[float], form: str) -> str:
    """Return table cells with each value, then mean and standard deviation."""
    cells = " | ".join(format(value, form) for value in values)
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{cells} | **{format(statistics.mean(values), form)}** ± {format(deviation, form)}"


def score_name(score: dict[str, Any]) -> str:
    """Return the metric of a score with its benchmark and subset, such as `pass@1 humaneval, dissimilar`."""
    name = " ".join(filter(None, (score["metric"], score["benchmark"])))
    return name if score["subset"] == "all" else f"{name}, {score['subset']}"


def table_head(seeds: Iterable[int]) -> list[str]:
    """Return the head of a table with one column per seed."""
    columns = [f"seed {seed}" for seed in seeds]
    return [f"| | {' | '.join(columns)} | mean ± standard deviation |", "|---|" + "---:|" * (len(columns) + 1)]


def replace_table(page: Path, table: str) -> None:
    """Replace the table between the markers of a Markdown file."""
    before, _, rest = page.read_text(encoding="utf-8").partition("<!-- table -->\n")
    after = rest.partition("<!-- end -->")[2]
    page.write_text(f"{before}<!-- table -->\n{table}\n<!-- end -->{after}", encoding="utf-8")


def _trained(recipe: Path) -> list[str]:
    """Return the labels of the stages that train."""
    import tomllib

    stages = tomllib.loads(recipe.read_text(encoding="utf-8"))["stage"]
    return [label for label, stage in stages.items() if stage["use"].endswith(("/pretrain", "/sft", "/grow", "/dpo"))]


def _table(runs: dict[int, dict[str, Any]], only: str) -> str:
    """Return a table with one row per figure: bits per byte and scores of each model."""
    rows: dict[str, list[float]] = {}
    for run in runs.values():
        for label, model in run["models"].items():
            rows.setdefault(f"{label}: held-out bits per byte", []).append(model["bits_per_byte"])
            for score in model["scores"]:
                rows.setdefault(f"{label}: {score_name(score)}", []).append(score["value"])
    shown = {name: values for name, values in rows.items() if only in name and len(values) == len(runs)}
    return "\n".join([*table_head(runs), *(f"| {name} | {spread(values, '.3f')} |" for name, values in shown.items())])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--work", type=Path, default=ROOT / "work" / "seeds")
    parser.add_argument("--together", action="store_true", help="run all seeds concurrently, each on one core")
    parser.add_argument("--only", default="", help="show only figures whose names contain this")
    parser.add_argument("--out", type=Path, help="Markdown file whose table between the markers is replaced")
    options = parser.parse_args()
    recipe = options.recipe.resolve()
    runs = run_all(recipe, options.work.resolve(), options.seeds, single_process=_trained(recipe) if options.together else ())
    shown = _table(runs, options.only)
    print(shown)
    if options.out:
        replace_table(options.out, shown)


if __name__ == "__main__":
    main()
