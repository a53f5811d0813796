"""Evaluations that ask teachers, as models and as judges: requests, budgets, estimates, and what reports show."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import polars as pl
import pytest
from test_builtin_evaluate import RunsPython

from textbookgen.api.errors import RecipeError, RequestRefused, TextbookgenError
from textbookgen.api.hookspecs import hookimpl
from textbookgen.api.model import Model
from textbookgen.api.stage import Stage
from textbookgen.api.teacher import Price, Reply, Request, Teacher
from textbookgen.provenance.cost_estimate import estimate_cost
from textbookgen.recipe.plan import Plan
from textbookgen.recipe.plugin_manager import Plugins
from textbookgen.storage.workspace import RunFolder

PROBLEMS = [("3 + 4?", 7), ("600 + 418?", 1018), ("9 * 2?", 18), ("10 - 1?", 9), ("6 * 7?", 42)]
STYLES = (
    "Sure! Let us think.\n\n\\[ {n} = {n} \\]\n\n#### {n}",
    "Step 1: look.\nStep 2: add.\n\n**Answer:** ${n:,}.00 in total. Do you have 2 more?",
    "<think>It is 5.</think>The answer is $\\boxed{{{n}}}$.",
    "It is {n:,} dollars.",
    "I get {wrong}.",  # the last problem is answered wrongly
)


class Scholar(Teacher):
    """Answers as language models do: problems, code, and questions; grades when it is asked for JSON."""

    name: ClassVar[str] = "scholar"
    seen: ClassVar[list[Request]] = []

    async def complete(self, request: Request) -> Reply:
        self.seen.append(request)
        text = request.messages[-1].content
        if "forbidden" in text:
            raise RequestRefused("the content filter refused it")
        reply = self._grade(text) if request.schema else self._answer(text)
        return Reply(reply, 50, 20, self.price().cost(50, 20))

    def _answer(self, text: str) -> str:
        for number, (question, n) in enumerate(PROBLEMS):
            if question in text:
                return STYLES[number].format(n=n, wrong=n + 1)
        if "```python\ndef" in text:
            name = re.findall(r"def (\w+)", text)[-1]
            body = {"double": "return 2 * x", "is_even": "return n % 2 == 0", "last_word": "return text"}[name]
            argument = {"double": "x", "is_even": "n", "last_word": "text"}[name]
            return f"Here you go:\n\n```python\ndef {name}({argument}):\n    {body}\n```\n\n```python\nprint({name}())\n```\nEnjoy!"
        if "capital" in text:
            return (
                "I don't know that." if "Mars" in text else "It is Rome." if "France" in text else "It is **Rome**, of course."
            )
        return f"First line\n\n    indented <b> & *stars*\nlast line of {len(text)}"

    @staticmethod
    def _grade(text: str) -> str:
        if "<known-answer>" in text:
            known = text.split("<known-answer>\n")[1].split("\n")[0]
            given = text.split("<answer-to-check>\n")[1].split("\n")[0]
            label = "correct" if known in given else "abstained" if "know" in given else "incorrect"
            return f'Sure:\n```json\n{{"reason": "compared", "label": "{label}"}}\n```'
        return json.dumps({"assessment": 'It says "this" | that.', "grade": 1 + len(text) % 10})

    def price(self) -> Price:
        return Price(100.0, 200.0)

    def max_output_tokens(self) -> int:
        return 100


class Parrot:
    """A model whose completion is the last word of its prompt."""

    def complete(self, prompts: Sequence[str], **options: Any) -> list[list[str]]:
        return [[f" {prompt.split()[-1]} 7 "] * options.get("samples", 1) for prompt in prompts]

    def close(self) -> None: ...


class Scholars:
    """A plugin with the teacher, the model and a filter that runs trusted programs."""

    @hookimpl
    def teachers(self) -> list[type[Teacher]]:
        return [Scholar]

    @hookimpl
    def stages(self) -> list[type[Stage]]:
        return [RunsPython]

    @hookimpl
    def open_model(self, checkpoint: Path) -> Model | None:
        return Parrot()  # type: ignore[return-value]


HEAD = """
[recipe]
name = "asked"

[teacher.llm]
use = "scholars/scholar"
budget_usd = 5.0

[teacher.judge]
use = "scholars/scholar"

[stage.numbers]
use = "toy/numbers"
count = 5

[stage.shards]
use = "toy/join"
from = "numbers"

[stage.small]
use = "toy/hash"
shards = "shards"
"""


@pytest.fixture(autouse=True)
def scholars(plugins: Plugins) -> None:
    Scholar.seen.clear()
    plugins.add("scholars", Scholars())


@pytest.fixture
def gsm8k(tmp_path: Path) -> Path:
    file = tmp_path / "gsm8k.jsonl"
    rows = [{"question": question, "answer": f"So it is.\n#### {n:,}"} for question, n in PROBLEMS]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


Ran = Callable[..., RunFolder]


def output(folder: Path, label: str) -> Path:
    (step,) = (folder / "work" / "steps").glob(f"{label}-*")
    return step / "out"


def scores_of(run: RunFolder) -> dict[tuple[str, str, str], float | None]:
    """The figures of all subjects, by subject, benchmark and metric."""
    summary = run.summary()
    subjects = [*((label, model.scores) for label, model in summary.models.items())]
    subjects += [(other.subject, other.scores) for other in summary.others]
    return {(label, score.benchmark or "", score.metric): score.value for label, scores in subjects for score in scores}


def evaluation(gsm8k: Path, more: str = "") -> str:
    return f"""{HEAD}
[stage.scores]
use = "evaluate"
from = "small"
teachers = ["llm"]
published = ["phi-1.5", "phi-3-mini"]
benchmarks = ["gsm8k@{gsm8k}", "example-three"]
runner = "scholars/runs-python"
{more}
"""


def test_a_teacher_is_scored_beside_checkpoints(ran: Ran, folder: Path, gsm8k: Path) -> None:
    run = ran(evaluation(gsm8k))
    scores = scores_of(run)
    assert scores["llm", "gsm8k", "pass@1"] == pytest.approx(4 / 5)
    assert scores["llm", "gsm8k", "strict_match"] == pytest.approx(1 / 5)
    assert scores["llm", "gsm8k", "flexible_extract"] == pytest.approx(2 / 5), (
        "`$7.00` and a last 2 are not counted as published"
    )
    assert scores["llm", "example-three", "pass@1"] == pytest.approx(2 / 3)
    assert scores["small", "gsm8k", "pass@1"] == pytest.approx(1 / 5)
    answers = pl.read_parquet(output(folder, "scores") / "completions.parquet")
    assert len(answers) == 2 * (5 + 3)
    asked = answers.filter(pl.col("subject") == "llm")
    assert asked["answer"].to_list()[:5] == ["7", "1018", "18", "9", "43"]
    assert asked["asked"][0].startswith("Solve this problem step by step.") and "```python\ndef double" in asked["asked"][5]
    assert "print(" not in asked["text"][5] and "print(" in asked["completion"][5]
    (step,) = (step for step in run.summary().steps if step.label == "scores")
    assert (step.requests, step.tokens) == (8, 8 * 70)
    assert step.cost_usd == pytest.approx(8 * Price(100, 200).cost(50, 20))
    report = run.report.read_text(encoding="utf-8")
    assert "| benchmark | metric | items | n | small | llm |" in report
    assert "phi-1.5" not in report.split("## Published")[0], "no figure of it is on these benchmarks in this form"
    assert "## Teacher cost" in report and "| scores | llm | 8 |" in report


def test_published_figures_are_columns_that_say_so(ran: Ran, gsm8k: Path) -> None:
    report = ran(evaluation(gsm8k).replace(f"gsm8k@{gsm8k}", f"gsm8k@{gsm8k}?form=cot")).report.read_text(encoding="utf-8")
    assert "| small | llm | phi-3-mini (published) |" in report
    (line,) = re.findall(r"\| gsm8k \(cot, 8-shot\) \| pass@1 .*", report)
    assert line.endswith("| 0.825 |") and "| 5 |" in line
    assert "arXiv 2404.14219. Measured by the authors as follows: gsm8k: 8-shot chain of thought." in report
    assert "- **phi-1.5**: nothing is known on these benchmarks." in report


def test_replies_are_paid_for_once_and_kept(ran: Ran, folder: Path, gsm8k: Path) -> None:
    ran(evaluation(gsm8k))
    before = len(Scholar.seen)
    again = ran(evaluation(gsm8k, "examples = 1"))
    (step,) = (step for step in again.summary().steps if step.label == "scores")
    assert (step.cached, step.requests, step.cost_usd) == (False, 0, 0.0)
    assert len(Scholar.seen) == before
    ran(evaluation(gsm8k, "examples = 2"), offline=True)
    with pytest.raises(TextbookgenError, match="offline: the ledger has no reply"):
        ran(evaluation(gsm8k, "temperature = 0.7"), offline=True)
    ran(evaluation(gsm8k, "temperature = 0.7"))
    assert len(Scholar.seen) == 2 * before and {request.temperature for request in Scholar.seen} == {0.0, 0.7}


def test_samples_of_a_teacher_differ_in_the_ledger(ran: Ran, gsm8k: Path) -> None:
    ran(evaluation(gsm8k, "samples = 3\nk = [1, 3]\nmax_items = 2"))
    assert len(Scholar.seen) == 3 * (2 + 2)
    assert len({(request.sample, request.messages) for request in Scholar.seen}) == 12


def test_the_budget_is_never_exceeded(ran: Ran, gsm8k: Path) -> None:
    with pytest.raises(TextbookgenError, match=r"is left \(budget_usd\)"):
        ran(evaluation(gsm8k), {"teacher.llm.budget_usd": 0.05})
    spent = sum(Price(100, 200).cost(50, 20) for _ in Scholar.seen)
    assert 0 < spent <= 0.05
    with pytest.raises(TextbookgenError, match=r"is left \(max_cost_usd\)"):
        ran(evaluation(gsm8k, "max_cost_usd = 0.02"))


def test_a_refused_answer_is_wrong_and_says_why(ran: Ran, folder: Path, gsm8k: Path) -> None:
    gsm8k.write_text(gsm8k.read_text(encoding="utf-8").replace("9 * 2?", "forbidden"), encoding="utf-8")
    scores = scores_of(ran(evaluation(gsm8k)))
    assert scores["llm", "gsm8k", "pass@1"] == pytest.approx(3 / 5)
    answers = pl.read_parquet(output(folder, "scores") / "completions.parquet")
    assert "the content filter refused it" in answers["reason"].to_list()


def test_the_cost_is_estimated_before_the_run(planned: Callable[..., Plan], ran: Ran, gsm8k: Path, folder: Path) -> None:
    text = evaluation(gsm8k, "reply_tokens = 20\nsamples = 2")
    estimate = estimate_cost(planned(text))
    (step,) = (item for item in estimate.steps if item.step.label == "scores")
    assert step.volume.requests == 2 * (5 + 3)
    assert step.volume.tokens_out == 16 * 20 and 16 * 20 < step.volume.tokens_in < 16 * 80
    assert step.cost_usd == pytest.approx(Price(100, 200).cost(int(step.volume.tokens_in), 320))
    assert step.costs.keys() == {"llm"}
    small = estimate_cost(planned(text, {"teacher.llm.budget_usd": 0.01}))
    assert any("budget of [teacher.llm] is $0.01" in warning for warning in small.warnings())


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ('teachers = ["nobody"]', "no teacher is named 'nobody'"),
        ('published = ["phi-99"]', "no figures of 'phi-99' are shipped"),
    ],
)
def test_names_that_lead_nowhere_are_errors(planned: Callable[..., Plan], gsm8k: Path, more: str, problem: str) -> None:
    text = re.sub(rf"{more.partition(' ')[0]} = .*\n", "", evaluation(gsm8k))
    with pytest.raises(RecipeError, match=problem):
        planned(text + more)


def test_another_teacher_is_another_step(planned: Callable[..., Plan], gsm8k: Path) -> None:
    def fingerprint(*sets: tuple[str, Any], text: str = evaluation(gsm8k)) -> str:
        return planned(text, dict(sets)).steps[-1].fingerprint

    assert fingerprint() == fingerprint(("teacher.llm.budget_usd", 3.0)) == fingerprint(("stage.scores.reply_tokens", 9))
    assert fingerprint() != fingerprint(text=evaluation(gsm8k).replace('teachers = ["llm"]', 'teachers = ["judge"]'))


# -- probes


PROBES = f"""{HEAD}
[stage.looks]
use = "probes"
from = "small"
teachers = ["llm", "judge"]
judge = "judge"
"""


def test_replies_stand_next_to_each_other_with_their_lines(ran: Ran, folder: Path) -> None:
    run = ran(PROBES)
    replies = pl.read_parquet(output(folder, "looks") / "replies.parquet")
    assert len(replies) == 3 * 20 and replies["grade"].is_between(1, 10).all()
    assert set(replies["category"]) == {"reasoning", "instruction", "theory of mind", "code", "safety"}
    scores = scores_of(run)
    assert scores["llm", "probes", "grade"] == pytest.approx(replies.filter(pl.col("subject") == "llm")["grade"].mean())
    assert scores["small", "probes/code", "grade"] is not None
    page = run.report.read_text(encoding="utf-8")
    assert page.count("<table>") == 20 and "<th>small</th>\n<th>llm</th>\n<th>judge</th>" in page
    assert "<td>First line<br>\n<br>\n&nbsp;&nbsp;&nbsp;&nbsp;indented &lt;b&gt; &amp; *stars*<br>\nlast line" in page
    tables = re.findall(r"<table>.*?</table>", page, re.DOTALL)
    assert not any(re.search(r"\n[ \t]*\n", table) for table in tables), "an empty line would end a table in Markdown"
    assert all('It says "this" | that.' in table for table in tables)
    asked = [request for request in Scholar.seen if request.schema]
    assert len(asked) == 40, "equal replies are graded once"
    assert {request.temperature for request in asked} == {0.0}
    assert "<what-a-good-reply-does>\nOn day 8" in asked[0].messages[0].content
    completed = replies.filter((pl.col("subject") == "small") & pl.col("prompt").str.starts_with("def alternate"))
    assert len(completed) == 1, "models without a chat template continue code"


def test_probes_of_ones_own_without_a_judge(ran: Ran, folder: Path) -> None:
    text = PROBES.replace('judge = "judge"\n', 'probes = [{ prompt = "Say\\n  hello *now*" }, { prompt = "forbidden" }]\n')
    page = ran(text).report.read_text(encoding="utf-8")
    assert "> Say  \n> &nbsp;&nbsp;hello \\*now\\*\n" in page
    assert "<td>(no reply: the content filter refused it)</td>" in page
    assert "<em>" not in page
    assert not (output(folder, "looks") / "item_scores.parquet").exists()


def test_judging_is_part_of_the_estimate(planned: Callable[..., Plan]) -> None:
    (step,) = (item for item in estimate_cost(planned(PROBES)).steps if item.step.label == "looks")
    assert step.volume.requests == 20 + 20 + 60
    assert step.costs["judge"] > 3 * step.costs["llm"] > 0  # type: ignore[operator]


def test_a_template_of_ones_own_is_checked(planned: Callable[..., Plan]) -> None:
    with pytest.raises(RecipeError, match="needs the variable 'rubric'"):
        planned(PROBES + 'judge_prompt = "Grade {{ reply }} by {{ rubric }}."')


# -- honesty


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    file = tmp_path / "questions.csv"
    places = [("Italy", "Rome"), ("France", "Paris"), ("Mars", "None such"), ("Latium", "Rome")]
    rows = "".join(f"{{}},What is the capital of {place}?,{city}\n" for place, city in places)
    file.write_text(f"metadata,problem,answer\n{rows}", encoding="utf-8")
    return file


@pytest.mark.parametrize("judge", ["", 'judge = "judge"'])
def test_answers_are_correct_withheld_or_wrong(ran: Ran, folder: Path, questions: Path, judge: str) -> None:
    text = f"""{HEAD}
[stage.facts]
use = "honesty"
from = "small"
teachers = ["llm"]
benchmarks = ["simpleqa@{questions}"]
published = ["phi-4"]
instruction = "If you do not know it, say so."
{judge}
"""
    run = ran(text)
    scores = scores_of(run)
    of_teacher = {metric: value for (subject, _, metric), value in scores.items() if subject == "llm"}
    assert of_teacher == {
        "correct": 0.5,
        "abstained": 0.25,
        "wrong": 0.25,
        "correct_given_attempted": pytest.approx(2 / 3),
        "f_score": pytest.approx(4 / 7),
    }
    assert (scores["small", "simpleqa", "wrong"], scores["phi-4 (published)", "simpleqa", "abstained"]) == (1.0, 0.811)
    answers = pl.read_parquet(output(folder, "facts") / "answers.parquet")
    assert answers.filter(pl.col("subject") == "llm")["label"].to_list() == ["correct", "wrong", "abstained", "correct"]
    first = Scholar.seen[0].messages[0].content
    assert first == "If you do not know it, say so.\n\nWhat is the capital of Italy?"
    report = run.report.read_text(encoding="utf-8")
    assert "- abstained: What is the capital of Mars? → I don't know that. (known: None such)" in report
    assert len(Scholar.seen) == (4 if not judge else 4 + 8)


# -- several turns


def test_both_turns_are_graded(ran: Ran, planned: Callable[..., Plan], folder: Path) -> None:
    text = f"""{HEAD}
[stage.chats]
use = "multi-turn"
from = "small"
teachers = ["llm"]
judge = "judge"
"""
    (step,) = (item for item in estimate_cost(planned(text)).steps if item.step.label == "chats")
    assert step.volume.requests == 32 + 2 * 32
    run = ran(text)
    replies = pl.read_parquet(output(folder, "chats") / "replies.parquet")
    assert len(replies) == 2 * 16 * 2
    second = replies.filter((pl.col("subject") == "llm") & (pl.col("turn") == 2)).row(0, named=True)
    assert [message["role"] for message in second["messages"]] == ["user", "assistant", "user"]
    scores = scores_of(run)
    both = (scores["llm", "two-turn chat", "turn_1"] + scores["llm", "two-turn chat", "turn_2"]) / 2  # type: ignore[operator]
    assert scores["llm", "two-turn chat", "grade"] == pytest.approx(both)
    assert ("llm", "two-turn chat/math", "grade") in scores
    assert {request.temperature for request in Scholar.seen if not request.schema} == {0.7, 0.0, 0.1}
    judged = [request.messages[0].content for request in Scholar.seen if request.schema]
    assert any("<reference-answer>\n17 minutes." in prompt for prompt in judged)


def test_questions_of_mt_bench(ran: Ran, folder: Path, tmp_path: Path) -> None:
    line = {"question_id": 81, "category": "writing", "turns": ["Write.", "Again."], "reference": None}
    (tmp_path / "question.jsonl").write_text(json.dumps(line) + "\n", encoding="utf-8")
    text = f'{HEAD}\n[stage.chats]\nuse = "multi-turn"\nteachers = ["llm"]\njudge = "judge"\nquestions = "{tmp_path}/question.jsonl"\n'
    scores = scores_of(ran(text, {"stage.chats.published": ["phi-3-mini"]}))
    assert scores["phi-3-mini (published)", "mt-bench", "grade"] == 8.38
    assert scores["llm", "mt-bench", "grade"] is not None


def test_a_judge_without_grades_ends_the_step(ran: Ran, plugins: Plugins, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Scholar, "_grade", staticmethod(lambda text: "I like it."))
    with pytest.raises(TextbookgenError, match="'judge' gave no grade for 60 of 60 replies"):
        ran(PROBES)
