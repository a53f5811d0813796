"""Verdicts on programs that cheat and on honest ones, in batches: no false pass with isolated tests, no false failure at all."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from textbookgen_sandbox.pool import Outcome, Pool, Program


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None and spec.loader is not None
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


cheats, honest = _load("cheats"), _load("honest")
HONEST = {case.name: case for case in honest.cases(160, seed=1)}


@pytest.fixture(scope="module")
def workers(pool: Pool) -> Iterator[Pool]:
    shared = Pool(2, 192)
    yield shared
    shared.close()


@pytest.fixture(scope="module")
def cheated(workers: Pool) -> dict[str, Outcome]:
    programs = (Program(text, tests, seconds=0.4) for text, tests in cheats.CHEATS.values())
    return dict(zip(cheats.CHEATS, workers.map(programs), strict=True))


@pytest.mark.parametrize("name", cheats.CHEATS)
def test_a_cheat_does_not_pass(name: str, cheated: dict[str, Outcome]):
    assert not cheated[name].ok
    assert cheated[name].reason


def test_the_tests_of_the_cheats_pass_a_right_program(workers: Pool):
    right = "def square(x):\n    return x * x\n"
    for isolated in (True, False):
        outcomes = list(workers.map(Program(right, tests, 10, isolate_tests=isolated) for tests in cheats.TESTS.values()))
        failed = [name for name, outcome in zip(cheats.TESTS, outcomes, strict=True) if not outcome.ok]
        assert not failed


@pytest.fixture(scope="module")
def judged(workers: Pool) -> dict[tuple[str, bool], Outcome]:
    """Outcomes of the honest programs by name and mode."""
    keys = [(name, isolated) for isolated in (True, False) for name in HONEST]
    programs = (Program(HONEST[name].text, HONEST[name].tests, 20, isolate_tests=isolated) for name, isolated in keys)
    return dict(zip(keys, workers.map(programs), strict=True))


@pytest.mark.parametrize("isolated", [True, False])
@pytest.mark.parametrize("name", HONEST)
def test_an_honest_program_passes(name: str, isolated: bool, judged: dict[tuple[str, bool], Outcome]):
    assert judged[name, isolated].ok, judged[name, isolated]


@pytest.mark.parametrize("isolated", [True, False])
def test_names_that_program_and_tests_share(isolated: bool, workers: Pool):
    cheat = Program(
        "expected = 0\ndef f(x): return 0", "expected = 4\nresult = f(2)\nassert result == expected", isolate_tests=isolated
    )
    rebinds = Program("n = 5\ndef f(): return n", "n = 10\nassert f() == 5 and n == 10", isolate_tests=isolated)
    assert [outcome.reason for outcome in workers.map([cheat, rebinds])] == ["AssertionError", ""]


@pytest.mark.parametrize("isolated", [True, False])
@pytest.mark.parametrize("size", [60_000, 3_000_000])
def test_an_outcome_of_any_size_is_a_verdict(size: int, isolated: bool, workers: Pool):
    text = f"import os, sys\nsys.stdout.buffer.write(os.urandom({size}))\nsys.stdout.flush()\n"
    large = workers.run(Program(text, "assert True", output_kib=64, isolate_tests=isolated))
    assert large.reason == ("" if size < 65_536 else "output limit")
    allowed = workers.run(Program(text, "assert True", output_kib=8192, isolate_tests=isolated))
    assert allowed.ok and len(allowed.stdout) > size / 4


def test_output_past_what_is_returned_is_cut_with_a_note(workers: Pool):
    outcome = workers.run(Program("print('x' * (6 << 20))", output_kib=8192, seconds=10))
    assert outcome.ok and outcome.stdout.endswith("bytes more]") and len(outcome.stdout) < 5 << 20


def test_a_program_of_any_size_is_a_verdict(workers: Pool):
    assert workers.run(Program("x = 1\n" * 1_000_000)).reason == "memory limit"
    assert workers.run(Program("def f(): return 1", "assert '\ud800' and f() == 1")).reason in ("", "UnicodeEncodeError")


def test_a_program_cannot_choose_the_random_numbers_of_its_tests(workers: Pool):
    text = "import random\ndef square(x):\n    random.seed(1)\n    return x * x"
    tests = "import random\nseen = [random.random() for _ in range(3) if square(2) == 4]\nassert len(set(seen)) == 3"
    assert workers.run(Program(text, tests)).ok


UNCALLED = {
    "function": "def test_f():\n    assert f(1) == 2",
    "test case": "import unittest\nclass T(unittest.TestCase):\n    def test(self): self.assertEqual(f(1), 2)",
    "class": "class TestF:\n    def test(self): assert f(1) == 2",
    "session": ">>> f(1)\n2",
}


@pytest.mark.parametrize("isolated", [True, False])
@pytest.mark.parametrize("name", UNCALLED)
def test_tests_that_are_defined_are_run(name: str, isolated: bool, workers: Pool):
    right, wrong = (Program(f"def f(x): return x + {n}", UNCALLED[name], isolate_tests=isolated) for n in (1, 2))
    assert workers.run(right).ok
    assert workers.run(wrong).reason == "AssertionError"


BUILTIN_NAMES = {
    "asked for": ("def sum(a, b): return a * b\ndef helper(): return 1", "assert sum(2, 3) == 6\nassert helper() == 1", True),
    "used by the tests": ("def sorted(x): return 0\ndef f(x): return 0", "assert f([2, 1]) == sorted([2, 1])", False),
    "nothing else": ("def map(f, xs): return [f(x) for x in xs]", "assert map(abs, [-1]) == [1]", True),
}


@pytest.mark.parametrize("isolated", [True, False])
@pytest.mark.parametrize("name", BUILTIN_NAMES)
def test_functions_named_like_built_ins(name: str, isolated: bool, workers: Pool):
    text, tests, passes = BUILTIN_NAMES[name]
    assert workers.run(Program(text, tests, isolate_tests=isolated)).ok is passes
