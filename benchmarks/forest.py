"""What `quality/forest` learns from 300, 1,000 and 3,000 of a teacher's labels, measured on functions of other files; and what
its selection is worth to a model.

    python benchmarks/forest.py
    python benchmarks/forest.py --ablation --work FOLDER

Labels are the embedded teacher's (a program), read by `quality/annotate`, of functions and classes of this Python's standard
library; good is from the score on that comes nearest to 30 % good. The ablation is a recipe: equal tokens of the code that the
forest keeps, of code drawn without it, and three seeds of each, scored by bits per byte of what neither was trained on:
textbook pages, exercises, and real files that the teacher calls good. The last line is JSON.
"""

from __future__ import annotations

import argparse
import ast
import json
import math
import random
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import warnings
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score
from textbookgen_procedural.tasks import TASKS
from textbookgen_quality.annotate import QualityAnnotator
from textbookgen_quality.classifier import Classifier, ClassifierConfig, LabeledTexts, train_classifier

from textbookgen.api.teacher import Reply
from textbookgen.builtin.sources.python_code import PythonCode

LABELS, HELD_OUT, SHARE = (300, 1_000, 3_000), 2_000, 0.3
FEATURES = ("words", "characters")


def functions() -> list[tuple[str, str]]:
    """Return file and text of every top-level function and class of the standard library, without its tests."""
    root, result = Path(sysconfig.get_paths()["stdlib"]), []
    for file in sorted(root.rglob("*.py")):
        if {"site-packages", "test", "tests", "idlelib", "lib2to3"} & set(file.relative_to(root).parts):
            continue
        try:
            source = file.read_text(encoding="utf-8")
            tree = ast.parse(source)
        except (SyntaxError, ValueError):
            continue
        pieces = (
            ast.get_source_segment(source, item) for item in tree.body if isinstance(item, ast.FunctionDef | ast.ClassDef)
        )
        result += [(str(file.relative_to(root)), piece) for piece in pieces if piece]
    return result


def scores(texts: list[str]) -> list[float]:
    """Return the teacher's scores, as `quality/annotate` reads them."""
    stage = QualityAnnotator(inputs=("web",), teacher="author")
    values = []
    for text in texts:
        draw = {"document": {"id": "", "text": text, "kind": "code"}}
        reply = Reply(TASKS["educational-value"](random.Random(0), draw))
        values.append(next(iter(stage.parse(draw, reply)))["quality.score"])
    return values


def curve(seeds: int) -> dict[str, Any]:
    """Return the area under the ROC curve and the precision among the best 30 %, by features and number of labels."""
    units = functions()
    marks = np.array(scores([text for _, text in units]))
    bound = min(sorted(set(marks.tolist()))[1:], key=lambda mark: abs((marks >= mark).mean() - SHARE))
    good = marks >= bound
    print(f"{len(units)} functions and classes; good from {bound:g} on: {good.mean():.3f}\n")
    result: dict[tuple[str, int], list[tuple[float, float]]] = {}
    for seed in range(seeds):
        seen, unseen = split(units, seed)
        for features in FEATURES:
            for count in LABELS:
                config = ClassifierConfig(features, 20_000, 64, 200, 2, 8_000, seed)
                own = seen[:count]
                with tempfile.TemporaryDirectory() as folder:
                    file = Path(folder) / "forest.npz"
                    labels = LabeledTexts([units[at][1] for at in own], good[own])
                    train_classifier(labels, config, file, 0.2, SHARE, jobs=1)
                    predicted = Classifier.load(file).probabilities([units[at][1] for at in unseen])
                best = np.argsort(-predicted, kind="stable")[: round(SHARE * len(predicted))]
                truth = good[unseen]
                result.setdefault((features, count), []).append(
                    (float(roc_auc_score(truth, predicted)), float(truth[best].mean()))
                )
    base = float(np.mean([good[split(units, seed)[1]].mean() for seed in range(seeds)]))
    print(table(result, base))
    rows = {
        f"{features} {many}": {"roc_auc": mean(item, 0), "precision": mean(item, 1)}
        for (features, many), item in result.items()
    }
    return {**rows, "base_rate": base}


def split(units: list[tuple[str, str]], seed: int) -> tuple[list[int], list[int]]:
    """Return rows to learn from and rows to measure on, with no file in both."""
    rng = random.Random(seed)
    files = sorted({file for file, _ in units})
    rng.shuffle(files)
    turn = {file: at for at, file in enumerate(files)}
    order = sorted(range(len(units)), key=lambda at: turn[units[at][0]])
    edge = next(at for at in range(HELD_OUT, len(order)) if units[order[at]][0] != units[order[at - 1]][0])
    unseen, seen = order[:edge], order[edge:]
    rng.shuffle(seen)
    return seen, unseen


def mean(pairs: list[tuple[float, float]], at: int) -> float:
    return statistics.mean(pair[at] for pair in pairs)


def table(result: dict[tuple[str, int], list[tuple[float, float]]], base: float) -> str:
    """Return the metrics as a Markdown table."""
    lines = ["| labels | " + " | ".join(f"{many:,}" for many in LABELS) + " |", "|---" * (len(LABELS) + 1) + "|"]
    for title, at in (("ROC AUC", 0), (f"precision among the best 30 % (base {base:.2f})", 1)):
        for features in FEATURES:
            values = [[pair[at] for pair in result[features, many]] for many in LABELS]
            cells = [f"{statistics.mean(item):.3f} ± {statistics.pstdev(item):.3f}" for item in values]
            lines.append(f"| {title}, {features} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


RECIPE = """
[recipe]
name = "forest-ablation"
version = "1"
seed = 1

[teacher.author]
use = "procedural/author"

[sampler.lessons]
use = "textbooks/page-topics"

[stage.web]
use = "python-code"
max_files = 2_500
max_kib = 24

[stage.labels]
use = "quality/annotate"
from = "web"
teacher = "author"
sample = 1_000

[stage.kept]
use = "quality/forest"
from = "web"
labels = "labels"
keep_share = 0.17

[stage.random]
use = "sample"
from = "web"
share = 0.17

[stage.pages]
use = "textbooks/page"
teacher = "author"
sampler = "lessons"
count = 100

[sampler.tasks]
use = "textbooks/function-names"

[stage.exercises]
use = "textbooks/exercise"
teacher = "author"
sampler = "tasks"
count = 200

[stage.tokenizer]
use = "train-tokenizer"
from = "web"
vocabulary = 2_048
"""
SHARDS = """
[stage.{arm}-shards]
use = "pack"
from = "{arm}"
tokenizer = "tokenizer"
sequence_length = 256
"""
MODEL = """
[stage.{arm}-{seed}]
use = "megatron/pretrain"
shards = "{arm}-shards"
layers = 4
hidden = 64
heads = 2
tokens = {tokens}
batch_size = 8
learning_rate = 3e-3
dropout = 0.0
threads = 1
seed = {seed}
"""
WRITTEN = ("pages", "exercises")
ARMS = {"kept": "kept by the forest", "random": "selected at random"}


def ablation(work: Path, tokens: int, seeds: int) -> dict[str, Any]:
    """Train the models; return bits per byte of held-out text, by arm and seed."""
    from textbookgen.provenance.lineage import Lineage
    from textbookgen.recipe.plugin_manager import Plugins
    from textbookgen.storage.workspace import Workspace

    work.mkdir(parents=True, exist_ok=True)
    recipe = work / "ablation.toml"
    models = "".join(MODEL.format(arm=arm, seed=seed, tokens=tokens) for arm in ARMS for seed in range(seeds))
    recipe.write_text(RECIPE + "".join(SHARDS.format(arm=arm) for arm in ARMS) + models, encoding="utf-8")
    command = [sys.executable, "-m", "textbookgen", "recipe", "run", str(recipe), "--work", str(work / "work")]
    subprocess.run([*command, "--executor", "serial", "--quiet"], check=True)
    workspace = Workspace(work / "work")
    lineage = Lineage(workspace)
    folders = {step["label"]: workspace.step(step["address"]).out for step in lineage.steps}
    held_out = {
        **{label: [text for part in lineage.parts(label) for text in part.read()["text"].to_list()] for label in WRITTEN},
        "good files": good_files({id_ for part in lineage.parts("web") for id_ in part.read()["id"].to_list()}),
    }
    bits: dict[str, dict[str, list[float]]] = {name: {} for name in held_out}
    for arm in ARMS:
        for seed in range(seeds):
            with closing(Plugins().model(folders[f"{arm}-{seed}"])) as model:
                for name, texts in held_out.items():
                    nats = -sum(score.logprob for score in model.score([("", text) for text in texts]))
                    size = sum(len(text.encode()) for text in texts)
                    bits[name].setdefault(arm, []).append(nats / math.log(2) / size)
    print(f"{tokens:,} tokens\n")
    print("| bits per byte of | code | " + " | ".join(f"seed {seed}" for seed in range(seeds)) + " | mean |")
    print("|---" * (seeds + 3) + "|")
    for name, arms in bits.items():
        for arm, values in arms.items():
            item = " | ".join(f"{value:.3f}" for value in values)
            mean_of = f"**{statistics.mean(values):.3f}** ± {statistics.pstdev(values):.3f}"
            print(f"| {len(held_out[name])} {name} | {ARMS[arm]} | {item} | {mean_of} |")
    return {"tokens": tokens, "bits_per_byte": bits}


def good_files(seen: set[str]) -> list[str]:
    """Return installed files that the recipe did not read and that the teacher rates with four points or more."""
    frames = PythonCode(max_files=8_000, max_kib=8).read()
    files = [(id_, text) for frame in frames for id_, text in frame.select("id", "text").iter_rows() if id_ not in seen]
    marks = scores([text for _, text in files])
    return [text for (_, text), mark in zip(files, marks, strict=True) if mark >= 4][:150]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--ablation", action="store_true", help="train models too; by default only the learning curve is measured"
    )
    parser.add_argument("--tokens", type=int, default=300_000, help="training tokens of each model of the ablation")
    parser.add_argument("--work", type=Path, help="folder for the ablation; temporary by default")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # invalid escapes in strings of installed code
    if arguments.ablation:
        with tempfile.TemporaryDirectory() as folder:
            result = ablation(arguments.work or Path(folder), arguments.tokens, arguments.seeds)
    else:
        result = curve(arguments.seeds)
    print(json.dumps({"ours": result}))


if __name__ == "__main__":
    main()
