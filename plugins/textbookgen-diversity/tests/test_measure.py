"""`diversity/measure`: metrics equal values computed by hand, and planted copies, openings and gaps are found."""

from __future__ import annotations

import json
import math
from pathlib import Path
from random import Random

import polars as pl
import pytest
from textbookgen_diversity.coverage import evenness
from textbookgen_diversity.measure import DiversityEvaluator
from textbookgen_diversity.nearest import nearest_overlap
from textbookgen_diversity.sample import compression_ratios, count_words, distinct_ngrams, draw_sample

from textbookgen.api.artifacts import Documents
from textbookgen.api.errors import RunError
from textbookgen.api.stage import StageInputs
from textbookgen.recipe.parser import read_recipe
from textbookgen.recipe.planner import make_plan
from textbookgen.recipe.plugin_manager import Plugins
from textbookgen.run.engine import run_plan
from textbookgen.storage.workspace import Workspace
from textbookgen.testing import check_plugin, documents, write_documents

WORDS = [f"word{n}" for n in range(4_000)]


def corpus(folder: Path, texts: list[str], draws: list[dict[str, object]] | None = None, part: int = 100) -> Documents:
    frame = documents(texts)
    if draws is not None:
        frame = frame.with_columns(draw=pl.Series([json.dumps(each) for each in draws], dtype=pl.String))
    return write_documents(folder, *frame.iter_slices(part))


def random_texts(seed: int, count: int, words: int = 100) -> list[str]:
    rng = Random(seed)
    return [" ".join(rng.choices(WORDS, k=words)) for _ in range(count)]


def evaluated(
    folder: Path, stage: DiversityEvaluator, reference: Documents | None = None, **tables: Documents
) -> dict[tuple[str, str], float]:
    out = folder / "out"
    out.mkdir(exist_ok=True)
    inputs = {"from": tables, "reference": {"reference": reference} if reference else {}}
    figures = stage.evaluate(StageInputs(inputs, folder / "own", None), out)  # type: ignore[arg-type]
    return {(row["subject"], row["metric"]): row["value"] for row in figures.iter_rows(named=True)}


def sample(folder: Path, texts: list[str], max_words: int = 10_000) -> object:
    table = corpus(folder, texts)
    return draw_sample(table, count_words(table, 0), max_words, 0)


def test_distinct_n_by_hand(tmp_path: Path) -> None:
    one = sample(tmp_path, ["A b, a B!"])
    assert [distinct_ngrams(one, n) for n in (1, 2, 3, 4)] == [2 / 4, 2 / 3, 1.0, 1.0]
    apart = sample(tmp_path / "two", ["a b", "a b", "b a"])
    assert distinct_ngrams(apart, 1) == 2 / 6
    assert distinct_ngrams(apart, 2) == 2 / 3, "no gram spans two documents"
    assert distinct_ngrams(apart, 3) == 0.0, "there is none"


def test_r_by_hand(tmp_path: Path) -> None:
    found = nearest_overlap(one := sample(tmp_path, ["a b c d e", "a b c x y", "p q r s t"]), one, 2, 10)
    assert sorted(found.to_list()) == [0.0, 0.5, 0.5]
    other = sample(tmp_path / "other", ["z p q r s t z"])
    assert sorted(nearest_overlap(one, other, 2, 10).to_list()) == [0.0, 0.0, 1.0]


def test_evenness_by_hand() -> None:
    assert evenness({"a": 5, "b": 5}, 2) == pytest.approx(1.0)
    assert evenness({"a": 5, "b": 5}, 4) == pytest.approx(0.5)
    skewed = -(0.9 * math.log(0.9) + 0.1 * math.log(0.1)) / math.log(2)
    assert evenness({"a": 9, "b": 1}, 2) == pytest.approx(skewed)


def test_a_large_window_detects_repetition_that_gzip_misses(tmp_path: Path) -> None:
    fresh = random_texts(1, 200)
    near, far = compression_ratios(sample(tmp_path, fresh + fresh, 40_000))
    alone_near, alone_far = compression_ratios(sample(tmp_path / "alone", fresh, 40_000))
    assert far > 1.6 * alone_far
    assert near < 1.2 * alone_near


def test_a_sample_has_the_same_words_whatever_the_parts(tmp_path: Path) -> None:
    texts = random_texts(2, 120)
    whole, parts = corpus(tmp_path / "a", texts, part=1_000), corpus(tmp_path / "b", texts, part=7)
    one, other = (draw_sample(table, count_words(table, 0), 5_050, 0) for table in (whole, parts))
    assert len(one.words) == len(other.words) == 5_050
    assert one.texts.to_list() == other.texts.to_list()
    assert len(one.texts) == 51
    assert (one.words == other.words).all()


def test_planted_copies_are_found_by_family_and_over_time(tmp_path: Path) -> None:
    """The second half of the corpus repeats the first where the topic is rain."""
    fresh = random_texts(3, 300)
    texts = fresh[:200] + [fresh[n] if n % 2 else fresh[n + 100] for n in range(100, 200)]
    draws = [{"topic": "rain" if n % 2 and n >= 200 else "snow", "level": n % 5} for n in range(300)]
    found = evaluated(
        tmp_path,
        DiversityEvaluator(**{"from": "tales"}, by="topic", spans=3, grid={"topic": ("rain", "snow"), "level": 10}),
        tales=corpus(tmp_path / "c", texts, draws),
    )
    assert found["tales", "near copies"] == pytest.approx(50 / 300)
    families = {row["family"]: row for row in pl.read_parquet(tmp_path / "out" / "families.parquet").iter_rows(named=True)}
    assert (families["rain"]["share"], families["snow"]["near_copies"]) == (1.0, 0)
    spans = pl.read_parquet(tmp_path / "out" / "over_time.parquet")
    assert spans["near_copies"].to_list() == [0, 0, 50]
    assert spans["first"].to_list() == [0, 100, 200]
    assert found["tales", "values of topic covered (declared)"] == 1.0
    assert found["tales", "values of level covered (declared)"] == 0.5
    assert found["tales", "combinations covered (declared)"] == pytest.approx(
        len({tuple(draw.values()) for draw in draws}) / 20
    )
    assert found["tales", "evenness of topic (entropy, declared)"] == pytest.approx(evenness({"rain": 50, "snow": 250}, 2))
    assert found["tales", "documents with R2 to the nearest other over 0.8"] == pytest.approx(100 / 300)


def test_coverage_counts_what_documents_show_and_says_what_nobody_checked(tmp_path: Path) -> None:
    draws = [{"topic": ("rain", "snow", "fog", "wind")[n % 4], "level": n % 2} for n in range(80)]
    shown = [{"topic": draw["topic"] if draw["topic"] in ("rain", "snow") else None} for draw in draws]
    frame = documents(random_texts(9, 80)).with_columns(
        draw=pl.Series([json.dumps(draw) for draw in draws], dtype=pl.String),
        **{"toy.shown": pl.Series([json.dumps(item) for item in shown], dtype=pl.String)},
    )
    grid = {"topic": ("rain", "snow", "fog", "wind"), "level": 2}
    stage = DiversityEvaluator(**{"from": "tales"}, grid=grid)
    found = evaluated(tmp_path, stage, tales=write_documents(tmp_path / "c", *frame.iter_slices(30)))
    assert found["tales", "values of topic covered (shown)"] == 0.5
    assert found["tales", "evenness of topic (entropy, shown)"] == pytest.approx(0.5)
    assert found["tales", "documents that show the drawn topic"] == 0.5
    assert found["tales", "values of level covered (declared)"] == 1.0
    assert found["tales", "combinations covered (partly shown)"] == 2 / 8  # rain at level 0, snow at level 1


def test_openings_are_counted_over_the_whole_corpus(tmp_path: Path) -> None:
    texts = ["Once upon a time, there " + text for text in random_texts(4, 30)] + random_texts(5, 70)
    found = evaluated(tmp_path, DiversityEvaluator(**{"from": "tales"}, words=100), tales=corpus(tmp_path / "c", texts, part=9))
    assert found["tales", "most frequent opening (5 words)"] == 0.3
    assert found["tales", "different openings per document"] == 0.71
    first = pl.read_parquet(tmp_path / "out" / "openings.parquet").row(0, named=True)
    assert (first["opening"], first["documents"]) == ("once upon a time there", 30)


def test_a_reference_is_measured_and_copies_of_it_are_counted(tmp_path: Path) -> None:
    people, teacher = random_texts(6, 80), random_texts(7, 60)
    tables = {"tales": corpus(tmp_path / "t", teacher + people[:20])}
    found = evaluated(
        tmp_path, DiversityEvaluator(**{"from": "tales"}, reference="people"), corpus(tmp_path / "p", people), **tables
    )
    assert found["tales", "near copies of 'reference'"] == 20 / 80
    assert found["tales", "near copies"] == found["reference", "near copies"] == 0
    assert found["tales", "documents with R2 to the nearest of 'reference' over 0.8"] == 20 / 80
    assert found["reference", "distinct-1"] == pytest.approx(found["tales", "distinct-1"], abs=0.05)


def test_lower_diversity_shows_in_every_metric(tmp_path: Path) -> None:
    rng = Random(8)
    phrases = [" ".join(rng.choices(WORDS, k=8)) for _ in range(40)]
    dull = [" ".join(rng.choices(phrases, k=12)) for _ in range(150)]
    found = evaluated(
        tmp_path,
        DiversityEvaluator(**{"from": ["dull", "fresh"]}),
        dull=corpus(tmp_path / "d", dull),
        fresh=corpus(tmp_path / "f", random_texts(9, 150, 96)),
    )
    for metric in ("distinct-1", "distinct-2", "distinct-4", "different openings per document"):
        assert found["dull", metric] < 0.5 * found["fresh", metric]
    for metric in ("R2 to the nearest other", "compression ratio (gzip)", "compression ratio (zstd, 128 MiB window)"):
        assert found["dull", metric] > 1.5 * found["fresh", metric]


def test_documents_without_words(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="'tales' contains no words"):
        evaluated(tmp_path, DiversityEvaluator(**{"from": "tales"}), tales=corpus(tmp_path / "c", ["", "..."]))
    assert [each.place for each in DiversityEvaluator(**{"from": "a"}, reference="a").check()] == ["reference"]
    found = evaluated(tmp_path, DiversityEvaluator(**{"from": "tales"}), tales=corpus(tmp_path / "one", ["", "two words"]))
    assert found["tales", "distinct-1"] == 1.0


RECIPE = """
[recipe]
name = "various"
[stage.tales]
use = "text"
path = "tales.txt"
per = "line"
[stage.people]
use = "text"
path = "people.txt"
per = "line"
[stage.various]
use = "diversity/measure"
from = "tales"
reference = "people"
"""


def test_a_run_reports_metrics_tables_and_plots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tales.txt").write_text("\n".join(random_texts(10, 40)), encoding="utf-8")
    Path("people.txt").write_text("\n".join(random_texts(11, 40)), encoding="utf-8")
    Path("various.toml").write_text(RECIPE, encoding="utf-8")
    plugins = Plugins(["diversity", "dedup"])
    run = run_plan(
        make_plan(read_recipe(Path("various.toml")), plugins), Workspace(tmp_path / "work"), plugins, executor="serial"
    )
    report = run.report.read_text(encoding="utf-8")
    for said in (
        "| tales | distinct-2 |",
        "| people | near copies |",
        "near copies of 'people'",
        "## Most frequent openings",
        "## Near copies by kind",
        "## Over time",
    ):
        assert said in report
    assert {file.name.partition("-")[2].partition("-")[2] for file in run.folder.glob("*.svg")} == {
        "distinct-n.svg",
        "openings.svg",
        "over-time.svg",
    }


def test_the_plugin_passes_the_checks() -> None:
    check_plugin("diversity")
