"""Tests in a separate process see a program as if it were in theirs."""

from __future__ import annotations

import pytest
from textbookgen_sandbox.pool import Pool, Program

PROGRAM = """
import math, enum, asyncio, functools
from collections import namedtuple, Counter, deque, OrderedDict, defaultdict
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from datetime import date, timedelta
total = 0
LIMIT = 10
table = {'a': [1, 2]}
def add(x, y=1, *rest, scale=1): return (x + y + sum(rest)) * scale
def same(x): return x
def sort_in_place(xs): xs.sort()
def grow(d): d['new'] = [1]
def deep(xs): xs[0].append(9)
def count():
    global total
    total += 1
def numbers(n):
    for i in range(n): yield i
def apply(f, xs): return [f(x) for x in xs]
def total_of(xs): return sum(xs)
def greet(name): print('Hello,', name)
def fail(kind): raise kind('no')
def compose(f, g): return lambda x: f(g(x))
def values():
    return [None, True, 1, -2**80, 1.5, math.inf, 'x', b'y', (1, (2,)), {3}, frozenset({4}), {'k': [5]}, 1 + 2j, range(3), ...,
            Counter('aab'), deque([1]), OrderedDict(a=1), defaultdict(list, a=[1]), Decimal('1.10'), Fraction(1, 3),
            date(2020, 1, 2), timedelta(1, 2, 3), bytearray(b'z')]
async def later(x): return x + 1
class Empty(ValueError):
    def __init__(self, where): super().__init__(f'{where} is empty'); self.where = where
class Stack:
    'A stack.'
    kind = 'lifo'
    def __init__(self, items=()): self.items = list(items)
    def push(self, x): self.items.append(x); return self
    def pop(self):
        if not self.items: raise Empty('stack')
        return self.items.pop()
    def __len__(self): return len(self.items)
    def __iter__(self): return iter(self.items)
    def __getitem__(self, i): return self.items[i]
    def __contains__(self, x): return x in self.items
    def __repr__(self): return f'Stack({self.items})'
    def __eq__(self, other): return isinstance(other, Stack) and self.items == other.items
    def __enter__(self): return self
    def __exit__(self, *a): self.items.clear()
    @property
    def top(self): return self.items[-1]
    @classmethod
    def of(cls, *items): return cls(items)
class Special(Stack): pass
@dataclass(frozen=True, order=True)
class Point:
    x: int
    y: int
    def __add__(self, o): return Point(self.x + o.x, self.y + o.y)
    def __mul__(self, k): return Point(self.x * k, self.y * k)
    def __abs__(self): return math.hypot(self.x, self.y)
Pair = namedtuple('Pair', 'left right')
class Color(enum.Enum):
    RED = 1
    BLUE = 2
class Level(enum.IntEnum):
    LOW = 1
class Meters(float): pass
class Lamp:
    client = 'x'
    def __init__(self, number): self.number = number
"""

CHECKS = {
    "calls": "assert add(1) == 2 and add(1, 2, 3, scale=2) == 12",
    "globals": "assert LIMIT == 10 and table['a'][1] == 2",
    "globals that change": "count(); count()\nassert total == 2",
    "values": """
from decimal import Decimal
from fractions import Fraction
import datetime, math, collections
v = values()
assert v == [None, True, 1, -2**80, 1.5, math.inf, 'x', b'y', (1, (2,)), {3}, frozenset({4}), {'k': [5]}, 1 + 2j, range(3), ...,
    {'a': 2, 'b': 1}, collections.deque([1]), {'a': 1}, {'a': [1]}, Decimal('1.10'), Fraction(1, 3),
    datetime.date(2020, 1, 2), datetime.timedelta(1, 2, 3), bytearray(b'z')]
assert [type(each) for each in v][-9:] == [collections.Counter, collections.deque, collections.OrderedDict, collections.defaultdict,
    Decimal, Fraction, datetime.date, datetime.timedelta, bytearray]
assert all(type(same(each)) is type(each) and same(each) == each for each in v)
""",
    "not a number": "import math\nassert math.isnan(same(math.nan))",
    "arguments that change": "xs = [3, 1, 2]\nys = xs\nsort_in_place(xs)\nassert xs == [1, 2, 3] and ys is xs",
    "dicts that change": "d = {}\ngrow(d)\nassert d == {'new': [1]}",
    "inner lists that change": "inner = []\nxs = [inner]\ndeep(xs)\nassert xs == [[9]] and inner == [9]",
    "identity": "xs = [1]\nassert same(xs) is xs\ns = Stack()\nassert same(s) is s and s.push(1) is s",
    "generators": "assert list(numbers(3)) == [0, 1, 2]\ng = numbers(2)\nassert next(g) == 0 and next(g) == 1\n"
    "try:\n    next(g)\nexcept StopIteration: pass\nelse: assert False",
    "callbacks": "seen = []\nassert apply(lambda x: seen.append(x) or x * 2, [1, 2]) == [2, 4] and seen == [1, 2]",
    "callbacks defined by the program": "assert apply(add, [1, 2]) == [2, 3] and apply(str.upper, ['a']) == ['A'] and apply(len, ['ab']) == [2]",
    "errors in callbacks": "def f(x): raise KeyError(x)\ntry:\n    apply(f, [1])\nexcept KeyError as e: assert e.args == (1,)\nelse: assert 0",
    "functions as results": "f = compose(lambda x: x + 1, lambda x: x * 2)\nassert f(5) == 11",
    "iterators as arguments": "assert total_of(x for x in [1, 2]) == 3",
    "output": "import contextlib, io\nwith contextlib.redirect_stdout(io.StringIO()) as out: greet('Ann')\nassert out.getvalue() == 'Hello, Ann\\n'",
    "built-in errors": "for kind in (ValueError, KeyError, TypeError):\n    try:\n        fail(kind)\n    except kind as e: assert 'no' in str(e)\n    else: assert 0",
    "own errors": "try:\n    Stack().pop()\nexcept Empty as e:\n    assert str(e) == 'stack is empty' and e.where == 'stack' and isinstance(e, ValueError)\nelse: assert 0",
    "own errors, by their base": "try:\n    Stack().pop()\nexcept ValueError: pass",
    "own errors, raised by tests": "try:\n    raise Empty('x')\nexcept Empty as e: assert e.where == 'x'",
    "own error classes as arguments": "try:\n    fail(Empty)\nexcept Empty: pass",
    "coroutines": "import asyncio\nassert asyncio.run(later(1)) == 2",
    "objects": "s = Stack([1])\ns.push(2)\nassert len(s) == 2 and list(s) == [1, 2] and s[0] == 1 and 2 in s and 3 not in s and s.top == 2\n"
    "assert repr(s) == 'Stack([1, 2])' and str(s) == 'Stack([1, 2])' and s == Stack([1, 2]) and s != Stack() and s.pop() == 2",
    "truth": "assert Stack([1]) and not Stack()",
    "attributes named like those of the proxies": "assert Point(3, 4) and Lamp(7).number == 7 and Lamp.client == 'x' and Lamp(8).client == 'x'",
    "attributes": "s = Stack()\ns.name = 'x'\nassert s.name == 'x' and hasattr(s, 'name') and not hasattr(s, 'other')\ndel s.name\nassert not hasattr(s, 'name')",
    "classes": "assert Stack.kind == 'lifo' and Stack.of(1, 2).top == 2 and Stack.__name__ == 'Stack'\n"
    "assert isinstance(Special(), Stack) and not isinstance(Stack(), Special) and issubclass(Special, Stack) and type(Special()) is Special",
    "with": "with Stack([1]) as s: assert len(s) == 1\nassert len(s) == 0",
    "unhashable": "try:\n    {Stack()}\nexcept TypeError: pass\nelse: assert 0",
    "data classes": "p = Point(1, 2)\nassert p == Point(1, 2) and p + p == Point(2, 4) and p * 2 == Point(2, 4) and p < Point(1, 3) and p.x == 1\n"
    "assert len({p, Point(1, 2)}) == 1 and {p: 1}[Point(1, 2)] == 1 and sorted([Point(2, 1), p])[0] == p and abs(Point(3, 4)) == 5.0",
    "frozen": "try:\n    Point(1, 2).x = 3\nexcept AttributeError: pass\nelse: assert 0",
    "named tuples": "p = Pair(1, 2)\nassert p == (1, 2) and p.left == 1 and p[1] == 2 and (1, 2) == p\na, b = p\nassert (a, b) == (1, 2)",
    "enumerations": "assert Color.RED is Color.RED and Color(2) is Color.BLUE and Color['RED'].value == 1 and len(Color) == 2\n"
    "assert [c.name for c in Color] == ['RED', 'BLUE'] and Level.LOW == 1 and Level.LOW < 2",
    "float subclasses": "assert Meters(2.5) == 2.5 and Meters(2.5) - 0.5 == 2.0 and abs(Meters(2.5) - 2.5) < 1e-6",
    "modules and imports": "assert math.sqrt(4) == 2 and Counter('aa')['a'] == 2 and functools.reduce(add, [1, 2, 3]) == 6",
    "copies": "import copy\ns = Stack([1])\nt = copy.deepcopy(s)\nt.push(2)\nassert len(s) == 1 and len(t) == 2",
    "classes of the tests": "class Duck:\n    def __init__(self): self.items = []\n    def append(self, x): self.items.append(x)\nd = Duck()\n"
    "assert same(d) is d and apply(d.append, [1]) == [None] and d.items == [1]",
    "unittest": "import unittest\nclass T(unittest.TestCase):\n    def test(self):\n        self.assertEqual(add(1), 2)\n"
    "        with self.assertRaises(Empty): Stack().pop()\nunittest.main()",
    "functions of tests": "def test_add():\n    assert add(2) == 3\ntest_add()",
    "docstrings": "assert Stack.__doc__ == 'A stack.' and same.__doc__ is None and add.__name__ == 'add' and callable(add)",
}


@pytest.mark.parametrize("name", CHECKS)
def test_checks_that_hold_in_one_process_hold_in_two(name: str, pool: Pool):
    one_process = pool.run(Program(PROGRAM, CHECKS[name], seconds=10, isolate_tests=False))
    assert one_process.ok, one_process
    two_processes = pool.run(Program(PROGRAM, CHECKS[name], seconds=10))
    assert two_processes.ok, two_processes


FALSE = {
    "value": "assert add(1) == 3",
    "unittest": "import unittest\nclass T(unittest.TestCase):\n    def test(self): self.assertEqual(add(1), 3)\nunittest.main()",
    "no error": "try:\n    Stack([1]).pop()\nexcept Empty: pass\nelse: assert False",
    "object and value": "assert Stack([1]) == [1]",
    "float subclasses": "assert abs(Meters(2.5) - 2.0) < 1e-6",
    "generator cut short": "for x in map(fail, [StopIteration]): pass",
}


@pytest.mark.parametrize("name", FALSE)
def test_false_checks_fail(name: str, pool: Pool):
    assert not pool.run(Program(PROGRAM, FALSE[name], seconds=10)).ok


def test_a_function_named_like_a_built_in_can_be_tested(pool: Pool):
    assert pool.run(Program("def sum(a, b): return a * b", "assert sum(2, 3) == 6")).ok


def test_the_program_cannot_find_the_tests_in_its_memory(pool: Pool):
    secret = "the answer is " + "4711"
    tests = f"expected = {secret!r}\nassert answer() == expected"
    search = """
import gc, sys
def everything():
    frame = sys._getframe()
    while frame:
        yield from (str(each) for each in list(frame.f_locals.values()))
        frame = frame.f_back
    for each in gc.get_objects():
        if isinstance(each, (dict, list, tuple)):
            yield from (x for x in (each.values() if isinstance(each, dict) else each) if isinstance(x, str))
def answer():
    part = 'the answer ' + 'is '
    return next((x[x.index(part):][:18] for x in everything() if part in x and '4711' in x), 'unknown')
"""
    assert pool.run(Program(search, tests)).reason == "AssertionError"
    assert pool.run(Program(search, tests)).reason == "AssertionError"  # nor left over from the previous run
