from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from textbookgen.api.errors import RecipeError, WorkspaceError
from textbookgen.cli import commands
from textbookgen.storage.workspace import RunFolder

Ran = Callable[..., RunFolder]


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(commands, arguments, catch_exceptions=False)


@pytest.fixture
def work(ran: Ran, folder: Path) -> str:
    """A workspace in which the toy recipe was run."""
    ran()
    return str(folder / "work")


def test_run_show_has_the_figures_that_programs_read(work: str) -> None:
    shown = json.loads(invoke("run", "show", "--json", "--work", work).stdout)
    assert shown["recipe"] == "toy"
    step = next(step for step in shown["steps"] if step["label"] == "even")
    wanted = {
        "label",
        "use",
        "cached",
        "rows_in",
        "rows_out",
        "dropped",
        "requests",
        "tokens",
        "cost_usd",
        "seconds",
        "peak_mib",
    }
    assert wanted <= step.keys()
    assert shown["models"]["model"].keys() >= {"parameters", "tokens", "bits_per_byte", "scores"}
    (score,) = shown["models"]["model"]["scores"]
    assert score.keys() == {"benchmark", "metric", "subset", "value", "stderr", "n"}
    assert (score["benchmark"], score["metric"], score["subset"], score["n"]) == ("digits", "pass@1", "all", 64)


def test_run_show_prints_the_report(work: str) -> None:
    report = invoke("run", "show", "--work", work).stdout
    assert "| even | `toy/contains` | 25 | 13 | 12 |" in report
    assert "is a program, not a language model" in report
    assert "| even | no even | 12 |" in report


def test_a_killed_run_shows_its_completed_steps(work: str) -> None:
    (file,) = Path(work).glob("runs/*/run.json")
    file.unlink()
    shown = json.loads(invoke("run", "show", "--json", "--work", work).stdout)
    assert shown["error"] == "not finished"
    assert len(shown["steps"]) == 8


def test_run_list_and_diff(work: str, ran: Ran) -> None:
    ran(sets={"stage.loud.suffix": "?"})
    listed = invoke("run", "list", "--work", work).stdout
    assert listed.count("finished") == 2
    first, second = (path.name for path in sorted(Path(work, "runs").iterdir()))
    differing = invoke("run", "diff", first, second, "--work", work).stdout
    assert '"!"' in differing
    assert "(an earlier stage, a prompt or an external file)" in differing


def test_prune_deletes_only_steps_that_no_finished_run_uses(work: str, ran: Ran) -> None:
    ran(sets={"stage.loud.suffix": "?"})
    steps = Path(work, "steps")
    before = {path.name for path in steps.iterdir()}
    for run in sorted(Path(work, "runs").iterdir())[1:]:
        for file in run.iterdir():
            file.unlink()
        run.rmdir()
    invoke("run", "prune", "--work", work)
    assert {path.name for path in steps.iterdir()} == before
    invoke("run", "prune", "--yes", "--work", work)
    assert len(before) - len(list(steps.iterdir())) == 4


def test_corpus_head_shows_prompts_and_replies(work: str) -> None:
    shown = invoke("corpus", "head", "echoes", "-n", "2", "--work", work).stdout
    assert shown.count("user: Say something about a") == 2
    rows = [
        json.loads(line) for line in invoke("corpus", "head", "half", "-n", "3", "--json", "--work", work).stdout.splitlines()
    ]
    assert len(rows) == 3
    assert all("even" in row["text"] or row["kind"] == "echo" for row in rows)


def test_corpus_stats_counts_by_kind(work: str) -> None:
    (row,) = [json.loads(line) for line in invoke("corpus", "stats", "even", "--json", "--work", work).stdout.splitlines()]
    assert (row["documents"], row["words_each"]) == (13, 4)


def test_corpus_why_traces_a_document_from_the_prompt_to_the_shards(work: str) -> None:
    rows = [
        json.loads(line) for line in invoke("corpus", "head", "half", "-n", "99", "--json", "--work", work).stdout.splitlines()
    ]
    document = next(row for row in rows if row["kind"] == "echo")["id"]
    shown = invoke("corpus", "why", document, "--work", work).stdout
    for piece in (
        "stage    echoes, toy/echo",
        "teacher  parrot, fake",
        "draw     {",
        "prompt   echo.md.j2",
        "Say something about",
        "packed   shards",
        "recipe.toml",
    ):
        assert piece in shown


def test_corpus_why_shows_the_verdict_that_dropped_a_document(work: str) -> None:
    (reason,) = [json.loads(line) for line in invoke("corpus", "dropped", "even", "--json", "--work", work).stdout.splitlines()]
    assert (reason["reason"], reason["documents"], len(reason["examples"])) == ("no even", 12, 2)
    story = json.loads(invoke("corpus", "why", reason["examples"][0]["id"], "--json", "--work", work).stdout)
    assert [(verdict["label"], verdict["keep"], verdict["reason"]) for verdict in story["verdicts"]] == [
        ("even", False, "no even")
    ]
    assert story["packed"] == []


def test_teacher_ledger_counts_exports_and_imports_replies(work: str, tmp_path: Path) -> None:
    (row,) = json.loads(invoke("teacher", "ledger", "--json", "--work", work).stdout)
    assert row["replies"] == 20
    file, other = str(tmp_path / "replies.parquet"), str(tmp_path / "other")
    invoke("teacher", "ledger", "--export", file, "--work", work)
    invoke("teacher", "ledger", "--import", file, "--work", other)
    (row,) = json.loads(invoke("teacher", "ledger", "--json", "--work", other).stdout)
    assert row["replies"] == 20


def test_teacher_ask_sends_one_request(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text('[recipe]\nname = "r"\n[teacher.t]\nuse = "fake"\nreplies = ["blue"]\n', encoding="utf-8")
    asked = invoke("teacher", "ask", str(tmp_path / "r.toml"), "t", "What colour?", "--work", str(tmp_path / "work"))
    assert asked.stdout == "blue\n"
    again = invoke("teacher", "ask", str(tmp_path / "r.toml"), "t", "What colour?", "--work", str(tmp_path / "work"))
    assert "from the ledger" in again.stderr


def test_stage_show_prints_options_with_types_and_defaults() -> None:
    shown = invoke("stage", "show", "sample").stdout
    assert "share" in shown
    assert "option" in shown
    assert json.loads(invoke("stage", "show", "sample", "--json").stdout)["type"] == "object"
    assert "budget_usd" in invoke("teacher", "show", "openai").stdout
    assert "never" in invoke("sampler", "show", "grid").stdout


def test_lists_are_not_empty() -> None:
    assert "python-code" in invoke("stage", "list").stdout
    assert "fake" in invoke("teacher", "list").stdout
    assert "grid" in invoke("sampler", "list").stdout
    assert "tiny" in invoke("recipe", "list").stdout
    assert "phi1/page.md.j2" in invoke("prompt", "list").stdout
    assert '[recipe]\nname = "phi1"' in invoke("recipe", "show", "phi1").stdout


def test_prompt_render_fills_a_template() -> None:
    assert (
        "`add_two`"
        in invoke("prompt", "render", "phi1/exercise.md.j2", "function_name=add_two", "concept=sums", "difficulty=1").stdout
    )


def test_recipe_new_copies_a_shipped_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    invoke("recipe", "new", "mine", "--like", "phi1")
    assert 'name = "mine"' in (tmp_path / "mine.toml").read_text(encoding="utf-8")


def program(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "textbookgen", *arguments], cwd=cwd, capture_output=True, text=True, check=False
    )


def test_a_user_error_has_no_traceback_and_exit_code_1(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text('[recipe]\nname = "bad"\n[stage.x]\nuse = "absent/stage"\n', encoding="utf-8")
    done = program("recipe", "run", "bad.toml", cwd=tmp_path)
    assert done.returncode == 1
    assert (
        done.stderr
        == "bad.toml:4: [stage.x] use\n  the plugin 'absent' is not installed\n  hint: `textbookgen plugin list` lists the installed plugins\n"
    )
    assert "Traceback" in program("--traceback", "recipe", "run", "bad.toml", cwd=tmp_path).stderr
    assert not (tmp_path / "work").exists()


def test_a_mistyped_command_gets_a_suggestion(tmp_path: Path) -> None:
    done = program("recipes", cwd=tmp_path)
    assert done.returncode == 2
    assert "Did you mean 'recipe'?" in done.stderr


def test_failed_documents_give_exit_code_3(tmp_path: Path) -> None:
    (tmp_path / "books").mkdir()
    lines = [json.dumps({"text": f"text {n}"}) for n in range(20)]
    (tmp_path / "books" / "b.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "rate.md.j2").write_text("Rate: {{ document.text }}", encoding="utf-8")
    (tmp_path / "r.toml").write_text(
        """
[recipe]
name = "r"
[teacher.t]
use = "fake"
replies = ["no score here"]
[stage.books]
use = "jsonl"
path = "books/b.jsonl"
[stage.rated]
use = "quality/annotate"
from = "books"
teacher = "t"
prompt = "rate.md.j2"
max_failures = 1.0
""",
        encoding="utf-8",
    )
    pytest.importorskip("textbookgen_quality")
    done = program("recipe", "run", "r.toml", cwd=tmp_path)
    assert done.returncode == 3, done.stderr
    assert "20 failed" in done.stderr
    done = program("recipe", "run", "r.toml", "--set", "stage.rated.max_failures=0.2", "--again", "rated", cwd=tmp_path)
    assert done.returncode == 1
    assert "of 20 documents failed, the last one with: unusable:" in done.stderr


def test_prompt_render_draws_from_a_nested_sampler(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text(
        '[recipe]\nname = "r"\n[sampler.s]\nuse = "fresh-openings"\nof = { use = "grid", thing = ["cat"] }\n', encoding="utf-8"
    )
    (tmp_path / "p.md.j2").write_text("A {{ thing }} in the {{ place }}.", encoding="utf-8")
    recipe = str(tmp_path / "r.toml")
    shown = invoke("prompt", "render", "p.md.j2", "place=rain", "--recipe", recipe, "--sampler", "s", "-n", "2").stdout
    assert shown.count("A cat in the rain.") == 2
    with pytest.raises(RecipeError, match=r"no \[sampler.t\] table"):
        invoke("prompt", "render", "p.md.j2", "--recipe", recipe, "--sampler", "t")


def test_teacher_ask_explains_wrong_options(tmp_path: Path) -> None:
    file = tmp_path / "r.toml"
    file.write_text('[recipe]\nname = "r"\n[teacher.t]\nuse = "fake"\nwrods = 3\n', encoding="utf-8")
    with pytest.raises(RecipeError, match=r"\[teacher.t\] wrods\n  'fake' has no option 'wrods'\n  hint: did you mean 'words'"):
        invoke("teacher", "ask", str(file), "t", "Hello", "--work", str(tmp_path / "work"))


def test_recipe_new_refuses_names_that_are_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "inner").mkdir()
    monkeypatch.chdir(tmp_path / "inner")
    refused = invoke("recipe", "new", "../outside")
    assert refused.exit_code == 2
    assert "it names folders" in refused.stderr
    assert [entry.name for entry in tmp_path.iterdir()] == ["inner"]


def test_recipe_check_estimates_the_cost_and_blames_overrides(folder: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "r.toml"
    recipe.write_text('[recipe]\nname = "r"\n[stage.books]\nuse = "python-code"\nmax_files = 3\n', encoding="utf-8")
    shown = invoke("recipe", "check", str(recipe), "--work", str(tmp_path / "work")).stdout
    assert shown.startswith("r: 1 step ")
    assert "Estimated total: 0 requests" in shown
    with pytest.raises(RecipeError, match=r"^--set stage.books.max_files\n  must be"):
        invoke("recipe", "check", str(recipe), "--set", "stage.books.max_files=few")


def test_a_damaged_summary_is_an_error_that_names_the_file(work: str) -> None:
    (file,) = Path(work).glob("runs/*/run.json")
    file.write_text(file.read_text(encoding="utf-8")[:100], encoding="utf-8")
    for arguments in (("run", "show"), ("run", "prune")):
        with pytest.raises(WorkspaceError, match="incomplete or invalid") as caught:
            invoke(*arguments, "--work", work)
        assert caught.value.place == str(file)
    listed = "".join(invoke("run", "list", "--work", work).stdout.split())
    assert "".join(f"damaged: {file} is incomplete or invalid".split())[:60] in listed


def test_plugin_and_stage_lists_have_headers() -> None:
    assert all(word in invoke("plugin", "list").stdout for word in ("plugin", "distribution", "version", "provides"))
    assert "same as input" in invoke("stage", "list").stdout
    assert "is not installed" in invoke("plugin", "show", "absent").stderr
