"""How well the forest of `quality/forest` predicts the embedded teacher's labels of whole files, by kind of file.

    python benchmarks/labels.py [--files 1500] [--samples 10]

Labels are read by `quality/annotate` from the embedded teacher; a forest is trained on four fifths of the files and measured on
the rest, five times, so that each file is held out once. Both read the first 8,000 characters. Python files are divided into
those with classes, with functions only, scripts, data, and files that do not parse; prose is the source `documentation`. The
last line is JSON.
"""

from __future__ import annotations

import argparse
import ast
import json
import tempfile
import warnings
from collections import Counter
from pathlib import Path
from random import Random

import numpy as np
from sklearn.metrics import roc_auc_score
from textbookgen_procedural.educational_value import rate_text
from textbookgen_quality.classifier import Classifier, ClassifierConfig, LabeledTexts, train_classifier

from textbookgen.builtin.sources.documentation import Documentation
from textbookgen.builtin.sources.python_code import PythonCode

_FOLDS = 5
_GOOD = {"code": 3, "prose": 4}


def kind_of(text: str) -> str:
    """Return what a Python file consists of."""
    try:
        body = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return "invalid"
    if any(isinstance(node, ast.ClassDef) for node in body):
        return "classes"
    if any(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) for node in body):
        return "functions"
    does_something = ast.For | ast.While | ast.If | ast.With | ast.Try
    return "script" if any(isinstance(node, does_something) for node in body) else "data"


def predict(texts: list[str], good: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """Return the probability of being good of each text, from a forest that was trained without it."""
    predicted = np.zeros(len(texts))
    for fold in range(_FOLDS):
        train, test = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "forest.npz"
            labels = LabeledTexts([texts[at] for at in train], good[train])
            train_classifier(labels, ClassifierConfig("words", 20_000, 64, 200, 2, 8_000, fold), file, 0.2, 0.3, jobs=1)
            predicted[test] = Classifier.load(file).probabilities([texts[at] for at in test])
    return predicted


def measure(name: str, texts: list[str], kinds: list[str]) -> dict[str, dict[str, float | None]]:
    """Print and return, for each kind, the share of good labels, the area under the ROC curve, and the accuracy."""
    scores = np.array([int(rate_text(text).rpartition("score: ")[2]) for text in texts])
    good = scores >= _GOOD[name]
    folds = np.array([Random(f"{name}/{at}").randrange(_FOLDS) for at in range(len(texts))])
    predicted = predict(texts, good, folds)
    kept = predicted >= np.quantile(predicted, 1 - good.mean())  # as many as are good
    result: dict[str, dict[str, float | None]] = {}
    for kind in ("all", *sorted(set(kinds))):
        own = np.array([kind in ("all", each) for each in kinds])
        both = 0 < good[own].sum() < own.sum()
        auc = round(float(roc_auc_score(good[own], predicted[own])), 3) if both else None
        accuracy = round(float((kept[own] == good[own]).mean()), 3)
        counts = dict(sorted(Counter(scores[own].tolist()).items()))
        result[f"{name}, {kind}"] = {
            "files": int(own.sum()),
            "good": round(float(good[own].mean()), 3),
            "auc": auc,
            "accuracy": accuracy,
        }
        print(f"| {name} | {kind} | {own.sum()} | {good[own].mean():.3f} | {auc} | {accuracy} | {counts} |")
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=1_500, help="files of Python code, and documents of prose")
    parser.add_argument("--samples", type=int, default=0, help="files to print, with label and reason")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # invalid escapes in strings of installed code
    code = [row for frame in PythonCode(max_files=options.files, max_kib=64).read() for row in frame.to_dicts()]
    prose = [row for frame in Documentation(max_documents=options.files).read() for row in frame.to_dicts()]
    for row in (*code[: options.samples], *prose[: options.samples]):
        print(f"--- {row['source.path']}: {' '.join(rate_text(row['text']).split())}\n{row['text'][:300]}")
    print("| text | kind | files | good | ROC AUC | accuracy | labels |\n|---|---|---|---|---|---|---|")
    result = measure("code", [row["text"] for row in code], [kind_of(row["text"]) for row in code])
    result |= measure("prose", [row["text"] for row in prose], [row["source.origin"] for row in prose])
    print(json.dumps(result))


if __name__ == "__main__":
    main()
