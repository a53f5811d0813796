"""Measures what a larger model gains from starting with the weights of a smaller one: held-out bits per byte, several seeds.

    python benchmarks/growth.py --seeds 1 2 3 [--together] [--out docs/growth.md]

A small model is trained on stories by the embedded teacher, a program whose stories are simpler than real ones. Then a larger
model is trained four times on the same further tokens: with tiled weights, with the small weights reused in a corner, and from
scratch, once at the same learning rate and once at a higher one, which suits a model trained from scratch better. The tokens of
the small model are not counted. The table also shows after which share of the tokens the grown models match the best result
from scratch.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seeds import ROOT, replace_table, run_all, spread, table_head

from textbookgen.api.plots import chart, write_chart

RECIPE = """
[recipe]
name = "growth"
seed = 1

[teacher.author]
use = "procedural/author"
max_parallel = 64

[sampler.words]
use = "tinystories/story-constraints"

[stage.stories]
use = "tinystories/story"
teacher = "author"
sampler = "words"
count = 8_000

[stage.tokenizer]
use = "train-tokenizer"
from = "stories"
vocabulary = 2_048

[stage.shards]
use = "pack"
from = "stories"
tokenizer = "tokenizer"
sequence_length = 128

[stage.small]
use = "megatron/pretrain"
shards = "shards"
layers = 2
hidden = 64
heads = 4
tokens = 1_000_000
batch_size = 16
learning_rate = 3e-3
dropout = 0.0
"""
GROWN = """
[stage.{label}]
use = "megatron/grow"
checkpoint = "small"
shards = "shards"
layers = 4
hidden = 128
method = "{method}"
tokens = 800_000
batch_size = 16
learning_rate = {rate}
dropout = 0.0
validate_every = 20
validation_tokens = 20_000
"""
VARIANTS = {
    "tile": ("tile", 1e-3, "tiled"),
    "reuse": ("reuse", 1e-3, "reused"),
    "scratch": ("scratch", 1e-3, "from scratch"),
    "scratch-fast": ("scratch", 3e-3, "from scratch, learning rate 3e-3"),
}


def curve(work: Path, seed: int, run: dict[str, Any], label: str) -> list[tuple[int, float]]:
    """Return tokens and held-out bits per byte at each evaluation."""
    address = run["models"][label]["address"]
    lines = (work / f"seed-{seed}" / "steps" / address / "out" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    metrics = [json.loads(line) for line in lines]
    return [(line["tokens"], line["validation_bits_per_byte"]) for line in metrics if "validation_bits_per_byte" in line]


def draw(curves: dict[str, list[list[tuple[int, float]]]], file: Path) -> None:
    """Draw the mean over the seeds, one line per variant."""
    colors = ["#1b6ca8", "#d1495b", "#66734c", "#edae49"]
    plot = chart(
        "XY",
        show_dots=False,
        x_title="tokens of the larger model",
        y_title="held-out bits per byte",
        x_value_formatter=lambda tokens: f"{tokens / 1000:.0f} k",
        value_formatter=lambda bits: f"{bits:.2f}",
    )
    plot.config.style.colors = tuple(colors)
    for label, (_, _, name) in VARIANTS.items():
        mean = [(points[0][0], statistics.mean(bits for _, bits in points)) for points in zip(*curves[label], strict=True)]
        plot.add(name, mean, stroke_style={"width": 3})
    write_chart(plot, file)


def reaches(curve: Sequence[tuple[int, float]], bits: float) -> int | None:
    """Return the tokens after which a curve is at or below a value; None if it never is."""
    return next((tokens for tokens, value in curve if value <= bits), None)


def table(curves: dict[str, list[list[tuple[int, float]]]], seeds: Sequence[int]) -> str:
    """Return the rows of the table: bits per byte after a tenth and at the end, and the share of tokens to match scratch."""
    rows = table_head(seeds)
    for label, (_, _, name) in VARIANTS.items():
        for part, share in (("after a tenth", 0.1), ("at the end", 1.0)):
            values = [item[max(0, round(share * len(item)) - 1)][1] for item in curves[label]]
            rows.append(f"| {name}, {part} | {spread(values, '.3f')} |")
    for label in ("tile", "reuse"):
        shares = []
        for number, grown in enumerate(curves[label]):
            best = min(curves[variant][number][-1][1] for variant in ("scratch", "scratch-fast"))
            shares.append((reaches(grown, best) or float("nan")) / grown[-1][0])
        rows.append(
            f"| {VARIANTS[label][2]}: share of the tokens to reach the best result from scratch | {spread(shares, '.2f')} |"
        )
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--work", type=Path, default=ROOT / "work" / "growth")
    parser.add_argument("--together", action="store_true", help="run all seeds at once, each on one core")
    parser.add_argument("--out", type=Path, help="Markdown file whose table is replaced; the plot is written next to it")
    options = parser.parse_args()
    work = options.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    recipe = work / "growth.toml"
    stages = (GROWN.format(label=label, method=method, rate=rate) for label, (method, rate, _) in VARIANTS.items())
    recipe.write_text(RECIPE + "".join(stages), encoding="utf-8")
    runs = run_all(recipe, work, options.seeds, single_process=["small", *VARIANTS] if options.together else ())
    curves = {label: [curve(work, seed, runs[seed], label) for seed in options.seeds] for label in VARIANTS}
    rows = table(curves, options.seeds)
    print(rows)
    draw(curves, options.out.with_suffix(".svg") if options.out else work / "growth.svg")
    if options.out:
        replace_table(options.out, rows)


if __name__ == "__main__":
    main()
