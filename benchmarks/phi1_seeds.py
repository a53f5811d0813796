"""Run recipes/phi1.toml with several seeds and print the table of docs/phi1.md.

A control is trained beside the recipe's models: the shape of the grown model, trained from scratch.

    python benchmarks/phi1_seeds.py --seeds 1 2 3 --work work-seeds --out docs/phi1.md
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from seeds import ROOT, replace_table, run_all, score_name, spread, table_head

CONTROL = """
# ---- the control: the shape of the grown model, trained from scratch on as many tokens
[stage.scratch]
use = "megatron/grow"
method = "scratch"
checkpoint = "small"
shards = "corpus-shards"
{options}
"""
MODELS = ("small", "base", "scratch", "phi1")
COPIED = ("layers", "hidden", "tokens", "batch_size", "learning_rate", "dropout", "tensor_parallel", "gpus")


def with_control(recipe: str) -> str:
    """Return the recipe with the control after `base`, with the options of `base`."""
    base = recipe.split("[stage.base]")[1].split("\n[")[0]
    options = [line for line in base.splitlines() if line.split(" = ")[0] in COPIED]
    before, after = recipe.split("\n[stage.phi1]")
    scored = after.replace('from = ["small", "base", "phi1"]', 'from = ["small", "base", "scratch", "phi1"]')
    return f"{before}{CONTROL.format(options=chr(10).join(options))}\n[stage.phi1]{scored}"


def pass_rates(models: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Return pass@1 of each model, by benchmark and subset; dissimilar items come first."""
    return {
        label: {
            score_name(score): score["value"]
            for score in sorted(models[label]["scores"], key=lambda score: score["subset"] != "dissimilar")
            if score["metric"] == "pass@1" and score["subset"] in ("dissimilar", "all")
        }
        for label in MODELS
    }


def table(runs: dict[int, dict[str, Any]]) -> str:
    """Return a table with the figures of all seeds, one row per model and metric."""
    lines = table_head(runs)
    models = [run["models"] for run in runs.values()]
    passed = [pass_rates(run) for run in models]
    for label in MODELS:
        for name in passed[0][label]:
            lines.append(f"| {label}: {name} | {spread([rates[label][name] for rates in passed], '.1%')} |")
    for label in ("small", "base", "scratch"):
        bits = [model[label]["bits_per_byte"] for model in models]
        lines.append(f"| {label}: held-out bits per byte | {spread(bits, '.3f')} |")
    for name in passed[0]["phi1"]:
        gains = [rates["phi1"][name] - rates["base"][name] for rates in passed]
        lines.append(f"| **gain in {name} from exercises** | {spread(gains, '.1%')} |")
    growth = [model["scratch"]["bits_per_byte"] - model["base"]["bits_per_byte"] for model in models]
    lines.append(f"| **gain from growth over training from scratch (bits per byte)** | {spread(growth, '.3f')} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--work", type=Path, default=ROOT / "work" / "seeds")
    parser.add_argument("--together", action="store_true", help="run all seeds concurrently, each on one core")
    parser.add_argument("--out", type=Path, help="Markdown file whose table between the markers is replaced")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    recipe = options.work / "phi1-control.toml"
    recipe.write_text(with_control((ROOT / "recipes" / "phi1.toml").read_text(encoding="utf-8")), encoding="utf-8")
    runs = run_all(recipe, options.work, options.seeds, single_process=MODELS if options.together else ())
    shown = table(runs)
    print(shown)
    if options.out:
        replace_table(options.out, shown)


if __name__ == "__main__":
    main()
