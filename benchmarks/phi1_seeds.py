"""Does the shape of phi-1 hold?  Runs recipes/phi1.toml for several seeds, with a model of the grown one's size trained from
nothing beside it, and prints the table of docs/phi1.md.

    python benchmarks/phi1_seeds.py --seeds 1 2 3 --work work-seeds --out docs/phi1.md
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
CONTROL = """
# ---- the control: the grown model's shape, from nothing, on as many tokens as its growth was trained on
[stage.scratch]
use = "megatron/grow"
method = "scratch"
checkpoint = "small"
shards = "corpus-shards"
{options}
"""
MODELS = ("small", "base", "scratch", "phi1")
COPIED = ("layers", "hidden", "tokens", "batch", "learning_rate", "dropout", "tensor_parallel")


def with_control(recipe: str) -> str:
    """The recipe with the control after `base`, its options copied from there."""
    base = recipe.split("[stage.base]")[1].split("\n[")[0]
    options = [line for line in base.splitlines() if line.split(" = ")[0] in COPIED]
    before, after = recipe.split("\n[stage.phi1]")
    scored = after.replace('from = ["small", "base", "phi1"]', 'from = ["small", "base", "scratch", "phi1"]')
    return f"{before}{CONTROL.format(options=chr(10).join(options))}\n[stage.phi1]{scored}"


def begin(recipe: Path, work: Path, seed: int, together: bool) -> subprocess.Popen[bytes]:
    """Starts the recipe with this seed; `together` with others, it takes one process and one thread for each model.

    The layout is placement: it changes how fast a model is trained, and its loss by rounding only.
    """
    sets = [f"recipe.seed={seed}"]
    if together:
        sets += [f"stage.{label}.{key}=1" for label in MODELS for key in ("tensor_parallel", "threads")]
    command = [sys.executable, "-m", "textbookgen", "recipe", "run", recipe, "--work", work / f"seed-{seed}"]
    command += ["--executor", "serial" if together else "processes"]
    for each in sets:
        command += ["--set", each]
    return subprocess.Popen(command, cwd=ROOT)


def figures(work: Path, seed: int) -> dict[str, Any]:
    """What came of a seed's run."""
    command = [sys.executable, "-m", "textbookgen", "run", "show", "--json", "--work", work / f"seed-{seed}"]
    shown = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return dict(json.loads(shown.stdout))


def spread(values: list[float], form: str) -> str:
    """Each value, then mean and standard deviation."""
    each = " | ".join(format(value, form) for value in values)
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{each} | **{format(statistics.mean(values), form)}** ± {format(deviation, form)}"


def table(runs: dict[int, dict[str, Any]]) -> str:
    """The figures of all seeds, a row a model."""
    heads = " | ".join(f"seed {seed}" for seed in runs)
    lines = [f"| | {heads} | mean and spread |", "|---|" + "---:|" * (len(runs) + 1)]
    models = [run["models"] for run in runs.values()]
    for label in MODELS:
        passed = [model[label]["pass_at_1"]["value"] for model in models]
        lines.append(f"| {label}: pass@1 | {spread(passed, '.1%')} |")
    for label in ("small", "base", "scratch"):
        bits = [model[label]["bits_per_byte"] for model in models]
        lines.append(f"| {label}: held-out bits per byte | {spread(bits, '.3f')} |")
    gains = [model["phi1"]["pass_at_1"]["value"] - model["base"]["pass_at_1"]["value"] for model in models]
    lines.append(f"| **exercises raise pass@1 by** | {spread(gains, '.1%')} |")
    growth = [model["scratch"]["bits_per_byte"] - model["base"]["bits_per_byte"] for model in models]
    lines.append(f"| **growth is better than from nothing by (bits per byte)** | {spread(growth, '.3f')} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--work", type=Path, default=ROOT / "work" / "seeds")
    parser.add_argument("--together", action="store_true", help="run all seeds at once, each on one core")
    parser.add_argument("--out", type=Path, help="a Markdown file in which the table between the marks is replaced")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    recipe = options.work / "phi1-control.toml"
    recipe.write_text(with_control((ROOT / "recipes" / "phi1.toml").read_text(encoding="utf-8")), encoding="utf-8")
    running = []
    for seed in options.seeds:
        running.append(begin(recipe, options.work, seed, options.together))
        if not options.together:
            running[-1].wait()
    if any(each.wait() for each in running):
        sys.exit("a run failed: its own words are above")
    shown = table({seed: figures(options.work, seed) for seed in options.seeds})
    print(shown)
    if options.out:
        page = options.out.read_text(encoding="utf-8")
        before, _, rest = page.partition("<!-- table -->\n")
        options.out.write_text(
            f"{before}<!-- table -->\n{shown}\n<!-- end -->{rest.partition('<!-- end -->')[2]}", encoding="utf-8"
        )


if __name__ == "__main__":
    main()
