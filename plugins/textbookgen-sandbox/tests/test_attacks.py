"""Attacks on the isolation and on the verdict: each must fail for an expected reason and leave the worker intact."""

from __future__ import annotations

import importlib.util
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from textbookgen_sandbox.pool import Pool, Program

_spec = importlib.util.spec_from_file_location("attacks", Path(__file__).with_name("attacks.py"))
assert _spec is not None and _spec.loader is not None
attacks = importlib.util.module_from_spec(_spec)
import sys  # noqa: E402

sys.modules["attacks"] = attacks
_spec.loader.exec_module(attacks)


@pytest.fixture(scope="module")
def listening() -> Iterator[tuple[int, str]]:
    """A server on this machine that no program may reach: a port, and the name of an abstract socket."""
    name = f"sandbox-test-{os.getpid()}"
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as unix:
        unix.bind(f"\0{name}")
        unix.listen()
        yield tcp.getsockname()[1], name


@pytest.mark.parametrize("name", attacks.ATTACKS)
def test_attack_fails(name: str, pool: Pool, listening: tuple[int, str]):
    attack = attacks.ATTACKS[name]
    text = attack.text.replace("PORT", str(listening[0])).replace("ABSTRACT", listening[1])
    worker = _worker(pool)
    outcome = pool.run(Program(text, attack.tests, attack.seconds))
    assert not outcome.ok
    assert outcome.reason in attack.reasons, outcome
    assert pool.run(Program("print(1)")).stdout == "1\n"
    assert _worker(pool) == worker, "the attack ended the worker"


def _worker(pool: Pool) -> int:
    with pool._worker() as worker:
        assert worker.process.poll() is None
        return worker.process.pid
