"""`grade`: an LLM judge as a stage and inside `accept`; prompt, reader and verdict together."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import polars as pl
import pytest

from textbookgen.api.errors import BudgetExceeded, RecipeError, RunError, TextbookgenError, UnusableReply
from textbookgen.api.hookspecs import hookimpl
from textbookgen.api.teacher import Price, Reply, Request, Teacher
from textbookgen.builtin.stages.grade import Grade
from textbookgen.provenance.cost_estimate import estimate_cost
from textbookgen.provenance.history import format_history
from textbookgen.provenance.lineage import Lineage
from textbookgen.recipe.plan import Plan
from textbookgen.recipe.plugin_manager import Plugins
from textbookgen.run.engine import run_plan
from textbookgen.storage.workspace import RunFolder, Workspace
from textbookgen.testing import documents

Ran = Callable[..., RunFolder]
SCHEMA = {
    "type": "object",
    "properties": {"reason": {"type": "string"}, "score": {"type": "number"}, "safe": {"type": "boolean"}},
    "required": ["reason", "score", "safe"],
}


def verdict(reply: str, **options: Any) -> dict[str, Any]:
    grade = Grade(**{"teacher": "judge", "prompt": "Grade this.", "min_score": 7, **options})
    return dict(grade.parse({}, Reply(reply)))


# -- reading


@pytest.mark.parametrize(
    ("reply", "score", "detail"),
    [
        ("Reason: clear and kind\nscore: 8", 8, "clear and kind"),
        ("The plot is clear.\nIt is kind.\n\n**Score:** 8/10", 8, "The plot is clear.\nIt is kind."),
        ("Sure! Here is my assessment:\n\nClear.\n\n### Overall quality score: 8 out of 10", 8, "Clear."),
        ("Grammar score: 3\nPlot score: 9\n- Score: **6.5**", 6.5, "Grammar score: 3\nPlot score: 9"),
        ("score: 2\nOn second thoughts it is better.\nscore: 7 - but short", 7, "score: 2\nOn second thoughts it is better."),
    ],
)
def test_a_score_in_text(reply: str, score: float, detail: str) -> None:
    found = verdict(reply)
    assert (found["score"], found["detail"]) == (score, detail)
    assert found["keep"] is (score >= 7)
    assert found["reason"] == (None if score >= 7 else "score below 7")


@pytest.mark.parametrize("form", ["{}", "```json\n{}\n```", "Here is my evaluation:\n{}\nI hope this helps!"])
def test_a_score_in_json(form: str) -> None:
    reply = form.replace("{}", '{"reason": "kind", "score": 9, "safe": true, "extra": {"plot": 3}}')
    options: dict[str, Any] = {"read_as": "json", "require": {"safe": True}, "columns": {"plot": "extra.plot"}}
    assert verdict(reply, **options) == {"score": 9.0, "detail": "kind", "grade.plot": "3", "keep": True, "reason": None}
    assert verdict(reply.replace("true", "false"), **options)["reason"] == "safe is not true"
    assert verdict(reply, max_score=8, **options)["reason"] == "score above 8"


@pytest.mark.parametrize("answer", ["Yes.", "**yes**", "TRUE", "yes"])
def test_a_required_answer_in_text(answer: str) -> None:
    options: dict[str, Any] = {"score": "", "min_score": None, "require": {"safe": True}}
    assert verdict(f"It is gentle.\nSafe: {answer}", **options)["keep"]
    assert not verdict("It is gentle.\nSafe: no", **options)["keep"]
    with pytest.raises(UnusableReply, match="the reply has no `safe`"):
        verdict("Is it safe: yes", **options)


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        ("I would give it a 7.", "the reply has no `score`"),
        ("score: high", "`score` in the reply is not a number: high"),
        ("score: 7-8", "`score` in the reply is not a number: 7-8"),
        ("score: 12", "the score is not on the scale from 0 to 10: 12"),
        ("score: 4/5", "the score is not on the scale from 0 to 10: 4/5"),
        ("I'm sorry, but I cannot evaluate this text.", "the teacher declined"),
        ("", "the reply is empty"),
    ],
)
def test_a_reply_without_a_usable_score_is_refused(reply: str, problem: str) -> None:
    with pytest.raises(UnusableReply, match=problem):
        verdict(reply)


def test_a_grader_cannot_be_called_as_a_plain_filter() -> None:
    with pytest.raises(RunError, match="asks a teacher"):
        Grade(teacher="judge", prompt="Grade this.").decide(documents())


# -- runs


class Judge(Teacher):
    """Scores a text by the number in it, in three styles; requests are counted, and some are answered badly."""

    name: ClassVar[str] = "judge"
    seen: ClassVar[list[Request]] = []
    bad: tuple[int, ...] = ()

    async def complete(self, request: Request) -> Reply:
        self.seen.append(request)
        number = int(request.messages[-1].content.split("number ")[1].split()[0])
        if number in self.bad:
            return Reply("I like it.", 10, 5, 0.01)
        styles = (
            "Reason: it is {n}\nscore: {n}",
            "Well, it is {n}.\n\n**Score:** {n}/10",
            "Sure!\n\nIt is {n}.\nScore: {n} out of 10",
        )
        return Reply(styles[number % 3].replace("{n}", str(number % 10)), 10, 5, 0.01)

    def price(self) -> Price:
        return Price(500, 1_000)

    def max_output_tokens(self) -> int:
        return 10


class Court:
    """A plugin with the judge."""

    @hookimpl
    def teachers(self) -> list[type[Teacher]]:
        return [Judge]


@pytest.fixture
def court(plugins: Plugins) -> Plugins:
    """The toy's plugins and the judge."""
    Judge.seen.clear()
    plugins.add("court", Court())
    return plugins


RECIPE = """
[recipe]
name = "court"
[teacher.author]
use = "fake"
replies = ["number {sample} is a number"]
[teacher.judge]
use = "court/judge"
[sampler.things]
use = "grid"
animal = ["fox", "owl"]
"""
STAGE = """
[stage.numbers]
use = "toy/numbers"
count = 30
[stage.graded]
use = "grade"
teacher = "judge"
from = "numbers"
prompt = "How good is this: {{ document.text }} ?"
min_score = 7
"""
ACCEPT = """
[stage.written]
use = "write"
teacher = "author"
sampler = "things"
prompt = "About a {{ animal }}, please."
count = 12
accept = [
  { use = "toy/contains", word = "5" },
  { use = "grade", teacher = "judge", prompt = "Is it about a {{ document.draw.animal }}? {{ document.text }}", min_score = 5 },
]
"""


def table(folder: Path, label: str, kind: str) -> pl.DataFrame:
    files = sorted((folder / "work" / "steps").glob(f"{label}-*/{kind}/*.parquet"))
    return pl.concat([pl.read_parquet(file) for file in files], how="diagonal_relaxed")


def test_a_judge_as_a_stage(ran: Ran, folder: Path, court: Plugins) -> None:
    run = ran(RECIPE + STAGE + '[stage.half]\nuse = "toy/shorter"\nfrom = "graded"\n')
    step = run.summary().step("graded")
    assert (step.rows_in, step.rows_out, step.dropped, step.requests) == (30, 9, {"score below 7": 21}, 30)
    assert step.cost_usd == pytest.approx(0.3)
    assert run.summary().step("half").rows_in == 9
    verdicts = table(folder, "graded", "verdicts")
    assert verdicts["score"].to_list() == [float(n % 10) for n in range(30)]
    assert verdicts["detail"][1] == "Well, it is 1."
    assert {request.temperature for request in Judge.seen} == {0.0}
    again = ran(RECIPE + STAGE, rerun=["graded"], offline=True).summary().step("graded")
    assert (again.requests, again.rows_out) == (0, 9)


def test_a_judge_inside_accept_is_asked_about_what_earlier_filters_keep(ran: Ran, folder: Path, court: Plugins) -> None:
    run = ran(RECIPE + ACCEPT)
    (step,) = run.summary().steps
    kept = table(folder, "written", "data").join(table(folder, "written", "verdicts").filter("keep"), on="id", how="semi")
    numbers = [int(text.split()[1]) for text in kept["text"]]
    assert len(numbers) == step.rows_out == 12
    assert all("5" in str(number) and number % 10 >= 5 for number in numbers)
    assert len(Judge.seen) == step.dropped.get("score below 5", 0) + 12 + step.dropped.get("count reached", 0)
    assert step.requests == len(Judge.seen) + step.rows_in
    assert step.cost_usd == pytest.approx(0.01 * len(Judge.seen))
    assert all(
        request.messages[0].content.startswith(("Is it about a fox? n", "Is it about a owl? n")) for request in Judge.seen
    )
    before = table(folder, "written", "verdicts")
    again = ran(RECIPE + ACCEPT, rerun=["written"], offline=True).summary().step("written")
    assert (again.requests, again.rows_out) == (0, 12)
    assert table(folder, "written", "verdicts").equals(before)


def test_the_reply_of_a_judge_is_in_the_history_of_a_document(ran: Ran, folder: Path, court: Plugins) -> None:
    ran(RECIPE + ACCEPT + STAGE.split("[stage.graded]")[1].join(["[stage.graded]", ""]).replace('"numbers"', '"written"'))
    lineage = Lineage(Workspace(folder / "work"))
    verdicts = table(folder, "written", "verdicts")
    dropped = verdicts.filter(pl.col("reason") == "score below 5")["id"][0]
    shown = format_history(lineage.history(dropped))
    assert "verdict  written, write: dropped: score below 5" in shown
    assert "grade    grade: score" in shown
    assert "teacher  judge, court/judge" in shown
    assert "user: Is it about a" in shown
    kept = lineage.first_documents("written", 1)[0]["id"]
    assert format_history(lineage.history(kept)).count("teacher  judge") == 2


def test_documents_that_cannot_be_graded_are_dropped_counted_and_asked_again(ran: Ran, folder: Path, court: Plugins) -> None:
    bad = RECIPE.replace('use = "court/judge"', 'use = "court/judge"\nbad = [8, 9]')
    run = ran(bad + STAGE)
    step = run.summary().step("graded")
    assert (step.failures, step.rows_out) == (2, 7)
    assert step.dropped == {"score below 7": 21, "not graded: the reply has no `score`": 2}
    verdicts, failures = table(folder, "graded", "verdicts"), table(folder, "graded", "failures")
    assert failures["id"].to_list() == verdicts["id"].to_list()[8:10]
    assert verdicts["reply"].null_count() == 0
    kept = ran(bad + STAGE + 'ungraded = "keep"\n').summary().step("graded")
    assert (kept.failures, kept.rows_out, kept.requests) == (2, 9, 0)
    worse = RECIPE.replace('use = "court/judge"', 'use = "court/judge"\nbad = [1, 2, 3, 4, 5]')
    with pytest.raises(TextbookgenError, match="4 of 30 documents could not be graded"):
        ran(worse + STAGE)


def test_failures_in_accept_stop_a_run_and_a_repeated_run_asks_only_for_what_is_missing(
    ran: Ran, folder: Path, court: Plugins
) -> None:
    bad = RECIPE.replace('use = "court/judge"', 'use = "court/judge"\nbad = [5, 15, 25, 35]')
    with pytest.raises(TextbookgenError, match="could not be graded"):
        ran(bad + ACCEPT)
    asked = len(Judge.seen)
    run = ran(bad + ACCEPT.replace("min_score = 5", "min_score = 5, max_failures = 1.0"))
    step = run.summary().step("written")
    assert step.failures == 4
    assert step.dropped["not graded: the reply has no `score`"] == 4
    assert len({request.messages[0].content for request in Judge.seen}) == len(Judge.seen) > asked


def test_the_budget_of_a_judge_holds_in_accept(ran: Ran, folder: Path, court: Plugins) -> None:
    limited = RECIPE.replace('use = "court/judge"', 'use = "court/judge"\nbudget_usd = 0.1\nmax_parallel = 1')
    with pytest.raises(BudgetExceeded, match="budget_usd"):
        ran(limited + ACCEPT)
    assert 0 < 0.01 * len(Judge.seen) <= 0.1
    capped = ACCEPT.replace("min_score = 5", "min_score = 5, max_cost_usd = 0.09")
    Judge.seen.clear()
    with pytest.raises(BudgetExceeded, match="max_cost_usd"):
        ran(RECIPE + capped)
    assert 0.01 * len(Judge.seen) <= 0.09


def test_prompt_teacher_and_options_of_a_judge_are_part_of_the_fingerprint(
    planned: Callable[..., Plan], court: Plugins
) -> None:
    def fingerprint(recipe: str, body: str = ACCEPT) -> str:
        return planned(recipe + body).steps[0].fingerprint

    before = fingerprint(RECIPE)
    assert fingerprint(RECIPE, ACCEPT.replace("min_score = 5", "min_score = 6")) != before
    assert fingerprint(RECIPE, ACCEPT.replace("Is it about", "Does it mention")) != before
    assert fingerprint(RECIPE, ACCEPT.replace("min_score = 5", "min_score = 5, temperature = 0.7")) != before
    assert fingerprint(RECIPE.replace('use = "court/judge"', 'use = "court/judge"\nbad = [1]')) != before
    assert fingerprint(RECIPE.replace('use = "court/judge"', 'use = "court/judge"\nbudget_usd = 1.0')) == before
    assert fingerprint(RECIPE.replace("teacher.judge", "teacher.other"), ACCEPT.replace('"judge"', '"other"')) == before


def test_the_estimate_has_what_a_judge_costs(planned: Callable[..., Plan], folder: Path, court: Plugins) -> None:
    recipe = RECIPE.replace('use = "court/judge"', 'use = "court/judge"\nbudget_usd = 1.0')
    plan = planned(recipe + ACCEPT + STAGE)
    blind = estimate_cost(plan)
    written, _, graded = blind.steps
    assert (written.volume.requests, graded.volume.requests) == (24, None or graded.volume.requests)
    assert written.costs["judge"] == pytest.approx((written.volume.tokens_in * 500 + 12 * 200 * 1_000) / 1e6, rel=0.1)
    assert any("[teacher.judge] is $1.00" in warning for warning in blind.warnings())
    workspace = Workspace(folder / "work")
    run_plan(planned(RECIPE + ACCEPT + STAGE, limit=10), workspace, court, executor="serial")
    steps = {each.step.label: each for each in estimate_cost(planned(RECIPE + ACCEPT + STAGE), workspace).steps}
    assert steps["graded"].sampled_documents == 10
    assert steps["graded"].costs["judge"] == pytest.approx(0.01 * (steps["graded"].volume.documents or 0))
    assert (steps["written"].costs["judge"] or 0) > 0


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('teacher = "judge", prompt', 'teacher = "judg", prompt', "no teacher is named 'judg'"),
        ('teacher = "judge", prompt', "prompt", "the option 'teacher' is required"),
        ("document.draw.animal", "document.draw.plant", "reads document.draw.plant, which the documents were not drawn with"),
        ("{{ document.text }}", "{{ animal }}", "needs the variable 'animal', which a grader does not have"),
        ("min_score = 5", "min_score = 50", "50 is not on the scale from 0 to 10"),
        ("min_score = 5", 'min_score = 5, schema = "@rubric.json"', "cannot read the list"),
    ],
)
def test_recipe_check_reports_a_judge_that_cannot_work(
    planned: Callable[..., Plan], court: Plugins, old: str, new: str, problem: str
) -> None:
    with pytest.raises(RecipeError) as caught:
        planned(RECIPE + ACCEPT.replace(old, new))
    assert problem in str(caught.value)
    assert "[stage.written] accept" in str(caught.value)


def test_a_schema_in_a_file_and_a_judge_where_none_can_be(planned: Callable[..., Plan], folder: Path, court: Plugins) -> None:
    (folder / "rubric.json").write_text('{"type": "object", "properties": {"score": {"type": "number"}}}', encoding="utf-8")
    plan = planned(RECIPE + ACCEPT.replace("min_score = 5", 'min_score = 5, schema = "@rubric.json"'))
    grader = plan.steps[0].filters[1].options
    assert isinstance(grader, Grade) and grader.reply_schema is not None
    runner = '[stage.model]\nuse = "toy/hash"\nshards = "s"\n[stage.e]\nuse = "evaluate"\nfrom = "model"\nbenchmarks = ["example-three"]\n'
    judge = 'runner = { use = "grade", teacher = "judge", prompt = "a b" }\n'
    shards = '[stage.n]\nuse = "toy/numbers"\n[stage.s]\nuse = "toy/join"\nfrom = "n"\n'
    with pytest.raises(RecipeError, match="'grade' asks a teacher and cannot be used here"):
        planned(RECIPE + shards + runner + judge)
