"""Verdicts of the filter `tests-pass`: what it keeps, its reasons, and that runs do not affect each other."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import polars as pl
import pytest
from textbookgen_sandbox.pool import Pool, Program
from textbookgen_sandbox.stages.tests_pass import PassingTests

from textbookgen.api.stage import StageInputs

DATA = next((folder for up in Path(__file__).resolve().parents if (folder := up / "shared" / "data").is_dir()), None)


def decide(texts: list[str], tests: list[str | None] | None = None, **options: object) -> pl.DataFrame:
    docs = pl.DataFrame({"id": [str(n) for n in range(len(texts))], "text": texts})
    if tests is not None:
        docs = docs.with_columns(pl.Series("textbooks.tests", tests, dtype=pl.String))
    return PassingTests(**{"workers": 2, **options}).decide(docs)


REASONS = {
    "": "print('hello')",
    "AssertionError": "assert 1 == 2",
    "SyntaxError": "def f(:",
    "IndentationError": "def f():\nreturn 1",
    "NameError": "print(x)",
    "ZeroDivisionError": "1 / 0",
    "ValueError": "import json\njson.loads('{')",  # JSONDecodeError is one
    "Exception": "class Mine(Exception): pass\nraise Mine('x')",
    "ModuleNotFoundError": "import numpy",
    "EOFError": "input('name? ')",
    "RecursionError": "def f(): f()\nf()",
    "SystemExit": "import sys\nsys.exit(3)",
    "memory limit": "x = [0] * 10**9",
    "output limit": "print('x' * 10**6)",
    "time limit": "while True: pass",
    "killed": "import os\nos.abort()",
    "exited early": "import os\nos._exit(0)",
}


def test_each_reason_comes_with_its_evidence(pool: Pool):
    verdicts = decide(list(REASONS.values()), seconds=1.0)
    assert [reason or "" for reason in verdicts["reason"]] == list(REASONS)
    assert verdicts["keep"].to_list() == [True] + [False] * (len(REASONS) - 1)
    assert verdicts["score"].to_list() == [1.0] + [0.0] * (len(REASONS) - 1)
    assert "line 1, in <module>\n    assert 1 == 2" in verdicts["detail"][1]
    assert verdicts["detail"][1].endswith("\nAssertionError")
    assert verdicts["detail"][0] is None
    assert all(detail for detail in verdicts["detail"][1:])


ORDINARY = {
    "exit at the end of main": "import sys\ndef main(): return 0\nif __name__ == '__main__':\n    sys.exit(main())",
    "files": "with open('a.txt', 'w') as f: f.write('x')\nassert open('a.txt').read() == 'x'",
    "temporary files": "import tempfile\nwith tempfile.TemporaryDirectory() as d, open(d + '/x', 'w') as f: f.write('x')",
    "threads": "import threading\nseen = []\nts = [threading.Thread(target=seen.append, args=(i,)) for i in range(20)]\n"
    "[t.start() for t in ts]\n[t.join() for t in ts]\nassert len(seen) == 20",
    "thread pool": "from concurrent.futures import ThreadPoolExecutor\nwith ThreadPoolExecutor(8) as p: assert sum(p.map(int, '123')) == 6",
    "asyncio": "import asyncio\nasync def f():\n    await asyncio.sleep(0.01)\n    return 3\nassert asyncio.run(f()) == 3",
    "dataclasses": "from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int\nassert P(1) == P(1)",
    "pickle": "import pickle\nclass P: pass\nassert isinstance(pickle.loads(pickle.dumps(P())), P)",
    "typing": "from typing import NamedTuple, get_type_hints\nclass P(NamedTuple):\n    x: 'int'\nassert get_type_hints(P) == {'x': int}",
    "sqlite": "import sqlite3\nc = sqlite3.connect(':memory:')\nassert c.execute('select 1 + 1').fetchone() == (2,)",
    "compression": "import bz2, gzip, lzma, zlib\nassert zlib.decompress(zlib.compress(b'x')) == b'x'",
    "digests": "import hashlib, secrets, ssl\nassert len(hashlib.sha256(secrets.token_bytes(9)).hexdigest()) == 64",
    "ctypes": "import ctypes\nassert ctypes.sizeof(ctypes.c_int) == 4",
    "signals to its own process": "import os, signal\nseen = []\nsignal.signal(signal.SIGUSR1, lambda *a: seen.append(1))\n"
    "os.kill(os.getpid(), signal.SIGUSR1)\nassert seen",
    "unittest": "import unittest\nclass T(unittest.TestCase):\n    def test(self): self.assertEqual(1, 1)\nunittest.main()",
    "doctest": "import doctest\ndef f():\n    '''\n    >>> f()\n    1\n    '''\n    return 1\nassert doctest.testmod().failed == 0",
    "unicode": "print('Grüße, 世界 🙂')",
    "lone surrogate": "print('\\ud800')",
    "at exit": "import atexit\natexit.register(print, 'bye')",
    "copy of a file": "import shutil\nopen('a', 'w').close()\nshutil.copy2('a', 'b')",
    "generator of numbers": "import random\nassert 0 <= random.random() < 1",
}


@pytest.mark.parametrize("name", ORDINARY)
def test_ordinary_programs_run(name: str, pool: Pool):
    outcome = pool.run(Program(ORDINARY[name], seconds=10))
    assert outcome.ok, outcome


def test_tests_are_run_where_there_are_any(pool: Pool):
    right, wrong = "def f(x):\n    return x + 1\n", "def f(x):\n    return x\n"
    for isolated in (True, False):
        verdicts = decide(
            [right, wrong, right, right], ["assert f(1) == 2", "assert f(1) == 2", None, ""], isolate_tests=isolated
        )
        assert verdicts["keep"].to_list() == [True, False, True, True]
        assert verdicts["reason"].to_list() == [None, "AssertionError", None, None]


def test_exiting_before_the_tests_is_a_failure(pool: Pool):
    leaves = ["import sys\nsys.exit(0)", "raise SystemExit", "import os\nos._exit(0)", "exit()"]
    for isolated in (True, False):
        assert not decide(leaves, ["assert False"] * 4, isolate_tests=isolated)["keep"].any()


@pytest.mark.parametrize("name", ["worker", "worker.server", "textbookgen_sandbox", "pool"])
def test_the_sandbox_itself_cannot_be_imported(name: str, pool: Pool):
    assert pool.run(Program(f"import {name}")).reason == "ModuleNotFoundError"


def test_another_column_may_hold_the_tests(pool: Pool):
    docs = pl.DataFrame({"id": ["a"], "code": ["x = 1"], "checks": ["assert x == 2"]})
    assert PassingTests(text="code", tests="checks").decide(docs)["reason"].to_list() == ["AssertionError"]


def test_no_documents_give_no_verdicts(pool: Pool):
    empty = decide([])
    assert empty.height == 0
    assert empty.schema == decide(["x = 1"]).schema


def test_a_program_cannot_affect_the_next(pool: Pool):
    assert pool.run(Program("import builtins, math\nbuiltins.left = math.left = 1\nopen('left', 'w').write('x')")).ok
    look = (
        "import builtins, math, os\nassert not hasattr(builtins, 'left') and not hasattr(math, 'left') and not os.listdir('.')"
    )
    assert pool.run(Program(look)).ok


def test_random_numbers_and_set_order_repeat_on_every_run():
    text = "import random\nprint(random.random(), {'a', 'b', 'c', 'd', 'e'}, hash('x'))"
    pools = [Pool(1, 64), Pool(1, 64)]
    try:
        assert len({pool.run(Program(text)).stdout for pool in pools for _ in range(3)}) == 1
    finally:
        for each in pools:
            each.close()


def test_secrets_of_the_host_are_not_visible(pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SANDBOX_TEST_KEY", "open sesame")
    (tmp_path / "key").write_text("open sesame")
    fresh = Pool(1, 64)
    seen = fresh.run(Program(f"import os, sys\nprint(dict(os.environ), sys.argv)\nprint(os.path.exists({str(tmp_path)!r}))"))
    fresh.close()
    assert "sesame" not in seen.stdout
    assert seen.stdout.endswith("False\n")


@pytest.mark.skipif(DATA is None, reason="no HumanEval here")
def test_reference_solutions_of_humaneval_pass_and_wrong_ones_fail(pool: Pool, tmp_path: Path):
    assert DATA is not None
    with gzip.open(DATA / "HumanEval.jsonl.gz", "rt") as lines:
        items = [json.loads(line) for line in lines]
    texts = [item["prompt"] + item["canonical_solution"] for item in items]
    tests = [f"{item['test']}\ncheck({item['entry_point']})" for item in items]
    stage = PassingTests(seconds=10)
    stage.prepare(StageInputs({}, tmp_path, None))  # type: ignore[arg-type]
    docs = pl.DataFrame({"id": [item["task_id"] for item in items], "text": texts, "textbooks.tests": tests})
    assert stage.decide(docs).filter(~pl.col("keep")).height == 0
    wrong = docs.with_columns(text=pl.Series([item["prompt"] + "    return None\n" for item in items]))
    assert stage.decide(wrong).filter(pl.col("keep")).height == 0
