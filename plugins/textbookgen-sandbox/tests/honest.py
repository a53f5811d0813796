"""Honest programs with correct tests: functions in the guises that programs have, times the styles that tests are written in."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Case:
    """An honest program and its tests."""

    name: str
    text: str
    tests: str


#: Source of a function, the last one defined, and arguments to call it with.
FUNCTIONS: list[tuple[str, list[str]]] = [
    ("def square(x):\n    return x * x", ["2", "-3", "0.5", "10 ** 20"]),
    ("def is_prime(n):\n    return n > 1 and all(n % i for i in range(2, int(n ** 0.5) + 1))", ["7", "9", "1", "97"]),
    ("def fib(n):\n    a, b = 0, 1\n    for _ in range(n):\n        a, b = b, a + b\n    return a", ["0", "1", "10", "200"]),
    ("def fact(n):\n    return 1 if n < 2 else n * fact(n - 1)", ["0", "5", "30"]),
    ("def gcd(a, b):\n    while b:\n        a, b = b, a % b\n    return a", ["12, 18", "7, 13", "0, 5"]),
    ("def mean(xs):\n    return sum(xs) / len(xs)", ["[1, 2, 4]", "[0.1, 0.2]", "(5,)"]),
    ("def variance(xs):\n    m = sum(xs) / len(xs)\n    return sum((x - m) ** 2 for x in xs) / len(xs)", ["[1, 2, 4]", "[0.5] * 3"]),
    ("def sqrt(x):\n    y = x\n    for _ in range(60):\n        y = (y + x / y) / 2\n    return y", ["2.0", "9.0", "1e10"]),
    ("def reverse(s):\n    return s[::-1]", ["'abc'", "''", "'Grüße 🙂'", "[1, 2]"]),
    ("def is_palindrome(s):\n    s = [c.lower() for c in s if c.isalnum()]\n    return s == s[::-1]", ["'A man, a plan, a canal: Panama'", "'ab'", "''"]),
    ("def count_vowels(text):\n    return sum(c in 'aeiouAEIOU' for c in text)", ["'Hello'", "'xyz'", "'AEIOU' * 1000"]),
    ("def word_counts(text):\n    counts = {}\n    for word in text.lower().split():\n        counts[word] = counts.get(word, 0) + 1\n    return counts", ["'a b a'", "''", "'The the THE end'"]),
    ("from collections import Counter\ndef letters(text):\n    return Counter(text)", ["'hello'", "''"]),
    ("from collections import defaultdict\ndef group(words):\n    found = defaultdict(list)\n    for w in words:\n        found[len(w)].append(w)\n    return found", ["['a', 'bb', 'c']", "[]"]),
    ("def flatten(xs):\n    out = []\n    for x in xs:\n        out += flatten(x) if isinstance(x, list) else [x]\n    return out", ["[1, [2, [3, [4]]]]", "[]", "[[[]]]"]),
    ("def unique(xs):\n    return sorted(set(xs))", ["[3, 1, 3, 2]", "[]", "'hello'"]),
    ("def common(a, b):\n    return set(a) & set(b)", ["[1, 2, 3], [2, 3, 4]", "'abc', 'xyz'"]),
    ("def frozen(xs):\n    return frozenset(xs)", ["[1, 2, 2]", "()"]),
    ("def min_max(xs):\n    return min(xs), max(xs)", ["[3, 1, 2]", "'hello'", "(1.5, -2.5)"]),
    ("def bubble_sort(xs):\n    xs = list(xs)\n    for i in range(len(xs)):\n        for j in range(len(xs) - 1 - i):\n            if xs[j] > xs[j + 1]:\n                xs[j], xs[j + 1] = xs[j + 1], xs[j]\n    return xs", ["[3, 1, 2]", "[]", "list(range(20, 0, -1))"]),
    ("def quicksort(xs):\n    if len(xs) < 2:\n        return list(xs)\n    p, *rest = xs\n    return quicksort([x for x in rest if x < p]) + [p] + quicksort([x for x in rest if x >= p])", ["[3, 1, 2, 3]", "'hello'"]),
    ("def binary_search(xs, x):\n    lo, hi = 0, len(xs)\n    while lo < hi:\n        mid = (lo + hi) // 2\n        if xs[mid] < x:\n            lo = mid + 1\n        else:\n            hi = mid\n    return lo if lo < len(xs) and xs[lo] == x else None", ["[1, 3, 5], 3", "[1, 3, 5], 4", "[], 1", "list(range(1000)), 777"]),
    ("def transpose(rows):\n    return [list(column) for column in zip(*rows)]", ["[[1, 2], [3, 4]]", "[[1, 2, 3]]"]),
    ("def matmul(a, b):\n    return [[sum(x * y for x, y in zip(r, c)) for c in zip(*b)] for r in a]", ["[[1, 2], [3, 4]], [[0, 1], [1, 0]]", "[[0.5]], [[4]]"]),
    ("def primes(limit):\n    sieve = [True] * (limit + 1)\n    found = []\n    for i in range(2, limit + 1):\n        if sieve[i]:\n            found.append(i)\n            for j in range(i * i, limit + 1, i):\n                sieve[j] = False\n    return found", ["30", "1", "1000"]),
    ("def collatz(n):\n    steps = [n]\n    while n != 1:\n        n = n // 2 if n % 2 == 0 else 3 * n + 1\n        steps.append(n)\n    return steps", ["6", "1", "27"]),
    ("def caesar(text, shift=3):\n    out = ''\n    for c in text:\n        if c.isalpha():\n            base = ord('a') if c.islower() else ord('A')\n            c = chr((ord(c) - base + shift) % 26 + base)\n        out += c\n    return out", ["'Hello, World!'", "'xyz', 1", "'abc', shift=-1"]),
    ("def to_binary(n):\n    return bin(n)[2:]", ["5", "0", "2 ** 70"]),
    ("def roman(n):\n    out = ''\n    for v, s in [(1000, 'M'), (900, 'CM'), (500, 'D'), (400, 'CD'), (100, 'C'), (90, 'XC'), (50, 'L'), (40, 'XL'), (10, 'X'), (9, 'IX'), (5, 'V'), (4, 'IV'), (1, 'I')]:\n        while n >= v:\n            out, n = out + s, n - v\n    return out", ["1994", "4", "3999"]),
    ("def encode(data):\n    return data.encode('utf-8')", ["'abc'", "'é'"]),
    ("def checksum(data):\n    return sum(data) % 256", ["b'abc'", "bytes(300)", "bytearray(b'xyz')"]),
    ("def divide(a, b):\n    if b == 0:\n        raise ValueError('division by zero')\n    return a / b", ["6, 3", "1, 3", "-7, 2"]),
    ("def safe_get(d, key, default=None):\n    return d.get(key, default)", ["{'a': 1}, 'a'", "{}, 'x'", "{}, 'x', 7"]),
    ("def invert(d):\n    return {v: k for k, v in d.items()}", ["{'a': 1, 'b': 2}", "{}"]),
    ("def deep(d):\n    return {'in': [d, (d, {'x': {1, 2}})], 'none': None}", ["1", "'s'", "[1.5]"]),
    ("def pascal(n):\n    row = [1]\n    for _ in range(n):\n        row = [1] + [a + b for a, b in zip(row, row[1:])] + [1]\n    return row", ["0", "4", "60"]),
    ("import math\ndef area(r):\n    return math.pi * r ** 2", ["1", "2.5", "0"]),
    ("import math\ndef quadratic(a, b, c):\n    d = math.sqrt(b * b - 4 * a * c)\n    return (-b - d) / (2 * a), (-b + d) / (2 * a)", ["1, -3, 2", "1, 0, -2"]),
    ("from fractions import Fraction\ndef harmonic(n):\n    return sum((Fraction(1, k) for k in range(1, n + 1)), Fraction(0))", ["1", "4", "20"]),
    ("from decimal import Decimal\ndef total(prices):\n    return sum((Decimal(p) for p in prices), Decimal(0))", ["['1.10', '2.20']", "[]"]),
    ("import datetime\ndef next_day(y, m, d):\n    return datetime.date(y, m, d) + datetime.timedelta(days=1)", ["2024, 2, 28", "2023, 12, 31"]),
    ("def numbers(n):\n    for i in range(n):\n        yield i * i", ["5", "0"]),
    ("def conj(z):\n    return complex(z).conjugate()", ["1 + 2j", "3"]),
    ("def shout(text):\n    return f'{text.upper()}!'", ["'hi'", "'a\\nb'", "'quote\\'s'"]),
    ("def repeat(text, times=2):\n    return text * times", ["'ab'", "'x', 50_000", "[0], 3"]),
    ("def hanoi(n, a='A', b='B', c='C'):\n    return [] if n == 0 else hanoi(n - 1, a, c, b) + [(a, c)] + hanoi(n - 1, b, a, c)", ["1", "3", "8"]),
    ("def permutations(xs):\n    if not xs:\n        return [[]]\n    return [[x] + p for i, x in enumerate(xs) for p in permutations(xs[:i] + xs[i + 1:])]", ["[1, 2, 3]", "[]"]),
    ("def nothing(*args, **named):\n    return None", ["", "1, 2, x=3"]),
]  # fmt: skip


def _plain(source: str, name: str) -> str:
    return source + "\n"


def _same_globals(source: str, name: str) -> str:
    names = "expected result actual got want n x i cases case data test_cases args value total_ answer output out left right f"
    return "".join(f"{each} = 0\n" for each in names.split()) + source + "\n"


def _guard(source: str, name: str) -> str:
    return f"import sys\n{source}\n\ndef main():\n    print({name}.__name__)\n    return 0\n\nif __name__ == '__main__':\n    sys.exit(main())\n"


def _rebinding(source: str, name: str) -> str:
    return f"{source}\n_original = {name}\ncalls = 0\nexpected = None\ndef {name}(*args, **named):\n    global calls, expected, i\n    calls += 1\n    expected = i = calls\n    return _original(*args, **named)\n"


def _decorated(source: str, name: str) -> str:
    return (
        "import functools\ndef logged(f):\n    @functools.wraps(f)\n    def wrapper(*args, **named):\n        return f(*args, **named)\n    return wrapper\n"
        f"{source}\n{name} = logged({name})\nassert callable({name})\n"
    )


def _noisy(source: str, name: str) -> str:
    return f"{source}\nfor row in range(600):\n    print('*' * 70)\nassert {name} is not None\n"


def _seeded(source: str, name: str) -> str:
    return f"import random, logging\nrandom.seed(7)\nresult = [random.random() for _ in range(3)]\nlogging.basicConfig()\n{source}\n"


def _method(source: str, name: str) -> str:
    return f"{source}\nclass Tool:\n    '''Holds a function.'''\n    def __init__(self, function):\n        self.function = function\n        self.calls = 0\n    def __call__(self, *args, **named):\n        self.calls += 1\n        return self.function(*args, **named)\n_{name} = Tool({name})\ndef {name}(*args, **named):\n    return _{name}(*args, **named)\n"


GUISES: list[Callable[[str, str], str]] = [_plain, _same_globals, _guard, _rebinding, _decorated, _noisy, _seeded, _method]

#: Programs and tests of kinds that no combination covers.
_PAIRS = [
    (
        "n=5\ndef f(): return n",
        "n = 10\nassert f() == 5 and n == 10",
    ),
    (
        "n=5\ndef f():\n    global n\n    n+=1\n    return n",
        "f()\nassert n == 6",
    ),
    (
        "items=[]\ndef add(x): items.append(x)\ndef pop(): return items.pop()",
        "add(1)\nassert items==[1]\nitems.append(5)\nassert pop()==5 and items==[1]\nq=items\nadd(3)\nassert q==[1,3] and q is items",
    ),
    (
        "class S:\n    def __init__(s,items): s.items=items\n    def push(s,x): s.items.append(x)",
        "xs=[1]\ns=S(xs)\ns.push(2)\nassert xs==[1,2] and s.items is xs\ns.items.append(3)\nassert xs==[1,2,3]",
    ),
    (
        "import random\ndef f(): return random.random()",
        "import random\nrandom.seed(3)\na=f()\nrandom.seed(3)\nassert f()==a\nrandom.seed(3)\nassert random.random()==a\nst=random.getstate()\nb=f()\nrandom.setstate(st)\nassert b==f()",
    ),
    (
        "def greet():\n    name=input('n? ')\n    print('hi '+name)",
        "from unittest.mock import patch\nwith patch('builtins.input', return_value='Bo') as p, patch('builtins.print') as q:\n    greet()\nq.assert_called_with('hi Bo')",
    ),
    (
        "def greet():\n    name=input('n? ')\n    print('hi '+name)",
        "import sys,io\nsys.stdin=io.StringIO('Al\\n')\nold=sys.stdout\nsys.stdout=io.StringIO()\ngreet()\nout=sys.stdout.getvalue()\nsys.stdout=old\nassert 'hi Al' in out, out",
    ),
    (
        "def timer(f):\n    import functools\n    @functools.wraps(f)\n    def w(*a,**k): return f(*a,**k)\n    return w",
        "@timer\ndef g(x):\n    'doc'\n    return x+1\nassert g(1)==2 and g.__name__=='g' and g.__doc__=='doc'",
    ),
    (
        "def retry(f, errors):\n    for i in range(3):\n        try: return f(i)\n        except errors: pass",
        "class E(Exception): pass\ndef g(i):\n    if i<2: raise E('no')\n    return i\nassert retry(g,(E,))==2\ndef h(i): raise E('x')\ndef k(i): raise KeyError(i)\ntry: retry(k,(E,))\nexcept KeyError: pass\nelse: assert 0",
    ),
    (
        "def call(f): return f()",
        "class E(Exception): pass\ndef g(): raise E('a',3)\ntry: call(g)\nexcept E as e: assert e.args==('a',3)\nelse: assert 0",
    ),
    (
        "from abc import ABC,abstractmethod\nclass A(ABC):\n    def __init__(s,n): s.n=n\n    @abstractmethod\n    def speak(s): ...\n    def loud(s): return s.speak().upper()",
        "class D(A):\n    def __init__(self,n,k):\n        super().__init__(n)\n        self.k=k\n    def speak(self): return f'{self.n}{self.k}'\nd=D('x',2)\nassert d.loud()=='X2' and isinstance(d,A) and d.k==2\ntry: A('q')\nexcept TypeError: pass\nelse: assert 0",
    ),
    (
        "def add(a,b):\n    '''\n    >>> add(1,2)\n    3\n    '''\n    return a+b",
        "import doctest\nassert doctest.testmod().failed==0\nassert doctest.testmod().attempted==1",
    ),
    (
        "def add(a,b): return a+b",
        ">>> add(1,2)\n3\n>>> add('a','b')\n'ab'",
    ),
    (
        "def add(a,b): return a+b",
        "def test_a():\n    assert add(1,2)==3",
    ),
    (
        "import sys\ndef main(): return 0\ndef f(x): return x\nif __name__=='__main__':\n    sys.exit(main())",
        "assert f(1)==1",
    ),
    (
        "import unittest\ndef f(x): return x\nclass T(unittest.TestCase):\n    def test(self): assert f(1)==1\nif __name__=='__main__':\n    unittest.main()",
        "assert f(1)==1",
    ),
    (
        "def sum(a,b): return a*b\ndef helper(): return 1",
        "assert sum(2,3)==6\nassert helper()==1",
    ),
    (
        "from dataclasses import dataclass\n@dataclass\nclass P:\n    x:int\n    y:list",
        "from dataclasses import asdict,replace,astuple\np=P(1,[2])\nassert asdict(p)=={'x':1,'y':[2]} and replace(p,x=3).x==3 and vars(p)=={'x':1,'y':[2]}",
    ),
    (
        "def f(x):\n    raise ValueError('a') from KeyError('b')",
        "try: f(1)\nexcept ValueError as e: assert isinstance(e.__cause__,KeyError)\nelse: assert 0",
    ),
    (
        "def f(key=None):\n    return sorted(['bb','a'],key=key) if key else 0",
        "assert f(len)==['a','bb'] and f()==0 and f(lambda s:-len(s))==['bb','a']",
    ),
    (
        "class Node:\n    def __init__(s,v,n=None): s.v=v; s.next=n\ndef rev(h):\n    p=None\n    while h: h.next,p,h=p,h,h.next\n    return p",
        "h=Node(1,Node(2,Node(3)))\nr=rev(h)\nout=[]\nwhile r: out.append(r.v); r=r.next\nassert out==[3,2,1]",
    ),
    (
        "def rev(h):\n    p=None\n    while h: h.next,p,h=p,h,h.next\n    return p",
        "class Node:\n    def __init__(s,v,n=None): s.v=v; s.next=n\nh=Node(1,Node(2,Node(3)))\nr=rev(h)\nout=[]\nwhile r: out.append(r.v); r=r.next\nassert out==[3,2,1]",
    ),
    (
        "def f(d):\n    d['a'].append(1)\n    return d",
        "d={'a':[]}\na=d['a']\nassert f(d) is d and a==[1]",
    ),
    (
        "def f(): return [[0]*3 for _ in range(3)]",
        "g=f()\ng[0][1]=5\nassert g==[[0,5,0],[0,0,0],[0,0,0]]",
    ),
    (
        "import time\ncounter=0\ndef start():\n    import threading\n    def w():\n        global counter\n        counter=7\n    threading.Thread(target=w).start()",
        "import time\nstart()\ntime.sleep(.1)\nassert counter==7",
    ),
    (
        "from functools import lru_cache\n@lru_cache(None)\ndef fib(n): return n if n<2 else fib(n-1)+fib(n-2)",
        "assert fib(50)==12586269025\nassert fib.cache_info().currsize==51\nfib.cache_clear()",
    ),
    (
        "def gen():\n    x = yield 1\n    yield x",
        "g=gen()\nassert next(g)==1 and g.send(5)==5",
    ),
    (
        "from collections import deque\ndef f(): return deque([1,2],maxlen=2)",
        "d=f()\nd.append(3)\nassert list(d)==[2,3]",
    ),
    (
        "def f(a, b=1, *c, d, e=2, **g): pass",
        "import inspect\nassert list(inspect.signature(f).parameters)==['a','b','c','d','e','g']",
    ),
    (
        "class V:\n    def __init__(s,x): s.x=x\n    def __lt__(s,o): return s.x<o.x\n    def __repr__(s): return f'V({s.x})'",
        "vs=sorted([V(2),V(1)])\nassert [v.x for v in vs]==[1,2] and str(vs)=='[V(1), V(2)]' and max(vs).x==2",
    ),
    (
        "x = 1",
        "class T:\n    y = x\nassert T.y==1 and eval('x')==1 and [x for _ in 'a']==[1]",
    ),
    (
        "import os, sys\ndef dump():\n    sys.stdout.buffer.write(os.urandom(20_000))\n    return 1",
        "assert dump() == 1",
    ),
    (
        "import os\nprint(os.urandom(20_000).decode('latin1'))",
        "assert True",
    ),
    (
        "class Account:\n    rate = 0.5\n    def __init__(self, owner, balance=0):\n        self.owner, self._balance = owner, balance\n    @property\n    def balance(self): return self._balance\n    def deposit(self, amount):\n        if amount <= 0: raise ValueError('amount must be positive')\n        self._balance += amount\n        return self\n    @staticmethod\n    def parse(text): return int(text)\n    @classmethod\n    def empty(cls): return cls('nobody')\n    def __str__(self): return f'{self.owner}: {self._balance}'",
        "a = Account('Ann', 5)\nbalance = 0\nassert a.deposit(2).balance == 7 and str(a) == 'Ann: 7' and f'{a}' == 'Ann: 7'\nassert Account.parse('3') == 3 and Account.empty().owner == 'nobody' and Account.rate == 0.5\ntry:\n    a.deposit(-1)\nexcept ValueError as e:\n    assert 'positive' in str(e)\nelse:\n    assert False\ntry:\n    a.balance = 3\nexcept AttributeError:\n    pass\nelse:\n    assert False",
    ),
    (
        "class Vector:\n    def __init__(self, *xs): self.xs = xs\n    def __add__(self, o): return Vector(*(a + b for a, b in zip(self.xs, o.xs)))\n    def __mul__(self, k): return Vector(*(k * a for a in self.xs))\n    __rmul__ = __mul__\n    def __eq__(self, o): return isinstance(o, Vector) and self.xs == o.xs\n    def __hash__(self): return hash(self.xs)\n    def __neg__(self): return self * -1\n    def __iter__(self): return iter(self.xs)\n    def __len__(self): return len(self.xs)\n    def __getitem__(self, i): return self.xs[i]\n    def __bool__(self): return any(self.xs)\n    def __contains__(self, x): return x in self.xs\n    def __repr__(self): return f'Vector{self.xs}'\n    def __call__(self, i): return self.xs[i]",
        "v = Vector(1, 2)\nassert v + v == Vector(2, 4) == 2 * v == v * 2 and -v == Vector(-1, -2)\nassert list(v) == [1, 2] and len(v) == 2 and v[0] == 1 and v[-1] == 2 and 2 in v and 3 not in v\nassert not Vector(0, 0) and v and repr(v) == 'Vector(1, 2)' and v(1) == 2 and {v: 1}[Vector(1, 2)] == 1\na, b = v\nassert (a, b) == (1, 2) and sum(v) == 3 and sorted(v, reverse=True) == [2, 1]",
    ),
    (
        "class Empty(Exception):\n    def __init__(self, name, code=3):\n        super().__init__(f'{name} is empty')\n        self.name, self.code = name, code\nclass Queue:\n    def __init__(self): self.items = []\n    def put(self, x): self.items.append(x)\n    def get(self):\n        if not self.items: raise Empty('queue')\n        return self.items.pop(0)",
        "import unittest\nclass T(unittest.TestCase):\n    def setUp(self): self.q = Queue()\n    def test_order(self):\n        for i in range(3): self.q.put(i)\n        self.assertEqual([self.q.get() for _ in range(3)], [0, 1, 2])\n    def test_empty(self):\n        with self.assertRaises(Empty) as caught: self.q.get()\n        self.assertEqual(caught.exception.code, 3)\n        self.assertRegex(str(caught.exception), 'is empty')\n        with self.assertRaisesRegex(Exception, 'queue'): self.q.get()\n    def test_items(self):\n        self.assertListEqual(self.q.items, [])\n        self.assertIsInstance(self.q, Queue)\n        self.assertIsNone(self.q.put(1))\n        self.assertAlmostEqual(0.1 + 0.2, 0.3)\nunittest.main()",
    ),
    (
        "import random\ndef shuffled(xs, seed):\n    rng = random.Random(seed)\n    xs = xs[:]\n    rng.shuffle(xs)\n    return xs\ndef roll(): return random.randint(1, 6)\ndef pick(xs): return random.choice(xs)",
        "import random\nxs = list(range(10))\nassert shuffled(xs, 1) == shuffled(xs, 1) and sorted(shuffled(xs, 2)) == xs\nfor _ in range(50): assert 1 <= roll() <= 6\nrandom.seed(5)\na = [roll() for _ in range(5)]\nrandom.seed(5)\nassert a == [roll() for _ in range(5)]\nrandom.seed(9)\nb = pick(xs)\nrandom.seed(9)\nassert b == random.choice(xs)",
    ),
    (
        "counter = 0\nhistory = []\nconfig = {'debug': False}\ndef bump(by=1):\n    global counter\n    counter += by\n    history.append(by)\n    return counter\ndef reset():\n    global counter, history\n    counter, history = 0, []\ndef is_debug(): return config['debug']",
        "assert bump() == 1 and bump(4) == 5 and counter == 5 and history == [1, 4]\nreset()\nassert counter == 0 and history == []\nconfig['debug'] = True\nassert is_debug() is True",
    ),
    (
        "def make_counter():\n    count = 0\n    def step():\n        nonlocal count\n        count += 1\n        return count\n    return step\ndef compose(*fs):\n    def run(x):\n        for f in reversed(fs): x = f(x)\n        return x\n    return run\ndef apply_n(f, n, x):\n    for _ in range(n): x = f(x)\n    return x",
        "c, d = make_counter(), make_counter()\nassert [c(), c(), d()] == [1, 2, 1]\nassert compose(str, abs, lambda x: x - 5)(2) == '3' and apply_n(lambda x: x * 2, 5, 1) == 32\nseen = []\napply_n(seen.append, 2, 1)\nassert seen == [1, None]",
    ),
    (
        "import json, os\ndef save(path, data):\n    with open(path, 'w') as f: json.dump(data, f)\ndef load(path):\n    with open(path) as f: return json.load(f)\ndef read(path):\n    try:\n        with open(path) as f: return f.read()\n    except FileNotFoundError: return None",
        "import os\nsave('data.json', {'a': [1, 2.5, None]})\nassert load('data.json') == {'a': [1, 2.5, None]} and os.path.exists('data.json') and read('nothing') is None\nwith open('x.txt', 'w') as f: f.write('hello')\nassert read('x.txt') == 'hello'",
    ),
    (
        "import asyncio\nasync def fetch(x):\n    await asyncio.sleep(0)\n    return x * 2\nasync def gather(xs): return await asyncio.gather(*map(fetch, xs))",
        "import asyncio\nassert asyncio.run(fetch(2)) == 4 and asyncio.run(gather([1, 2])) == [2, 4]\nasync def main():\n    assert await fetch(5) == 10\nasyncio.run(main())",
    ),
    (
        "class Temp:\n    def __enter__(self):\n        self.open = True\n        return self\n    def __exit__(self, kind, error, trace):\n        self.open = False\n        return kind is KeyError\nfrom contextlib import contextmanager\n@contextmanager\ndef tag(name, out):\n    out.append(f'<{name}>')\n    yield out\n    out.append(f'</{name}>')",
        "with Temp() as t: assert t.open\nassert not t.open\nwith Temp(): raise KeyError('x')\nout = []\nwith tag('b', out) as o: o.append('text')\nassert out == ['<b>', 'text', '</b>'], out",
    ),
    (
        "from enum import Enum, auto\nfrom typing import NamedTuple, Optional\nclass Suit(Enum):\n    HEARTS = auto()\n    SPADES = auto()\nclass Card(NamedTuple):\n    rank: int\n    suit: Suit = Suit.SPADES\ndef best(cards: list[Card]) -> Optional[Card]:\n    return max(cards, key=lambda c: c.rank, default=None)",
        "a, b = Card(3), Card(rank=9, suit=Suit.HEARTS)\nassert best([a, b]) == b and best([]) is None and b.suit is Suit.HEARTS and a == (3, Suit.SPADES)\nassert Suit['HEARTS'] is Suit.HEARTS and [s.name for s in Suit] == ['HEARTS', 'SPADES'] and Suit.HEARTS != Suit.SPADES and b._replace(rank=1).rank == 1",
    ),
    (
        "from dataclasses import dataclass, field\n@dataclass(order=True)\nclass Item:\n    price: float\n    name: str = field(compare=False)\n    tags: list = field(default_factory=list, compare=False)\nclass Cart:\n    def __init__(self): self.items = []\n    def add(self, item): self.items.append(item)\n    @property\n    def total(self): return round(sum(i.price for i in self.items), 2)",
        "cart = Cart()\nitem = Item(1.1, 'pen')\ncart.add(item)\ncart.add(Item(2.2, 'ink', ['blue']))\nassert cart.total == 3.3 and len(cart.items) == 2 and cart.items[1].tags == ['blue'] and cart.items[0] == item\nassert min(cart.items).name == 'pen' and item.tags == [] and Item(1.1, 'x') == item and repr(item).startswith('Item(price=1.1')\nitem.price = 5\nassert cart.total == 7.2\nitem.tags.append('new')\nassert cart.items[0].tags == ['new']",
    ),
    (
        "def rotate(m):\n    n = len(m)\n    for i in range(n):\n        for j in range(i, n): m[i][j], m[j][i] = m[j][i], m[i][j]\n    for row in m: row.reverse()\ndef remove_all(xs, x):\n    while x in xs: xs.remove(x)\ndef update(d, **kw): d.update(kw)\ndef fill(s, *xs): s.update(xs)\ndef blank(b): b[0] = 0",
        "m = [[1, 2], [3, 4]]\nrow = m[0]\nassert rotate(m) is None and m == [[3, 1], [4, 2]] and row is m[0]\nxs = [1, 2, 1]\nremove_all(xs, 1)\nassert xs == [2]\nd, s, b = {'a': 1}, set(), bytearray(b'ab')\nupdate(d, b=2)\nfill(s, 1, 2)\nblank(b)\nassert d == {'a': 1, 'b': 2} and s == {1, 2} and b == b'\\x00b'",
    ),
    (
        "class Tree:\n    def __init__(self, value, left=None, right=None):\n        self.value, self.left, self.right = value, left, right\ndef insert(t, v):\n    if t is None: return Tree(v)\n    if v < t.value: t.left = insert(t.left, v)\n    else: t.right = insert(t.right, v)\n    return t\ndef walk(t):\n    if t:\n        yield from walk(t.left)\n        yield t.value\n        yield from walk(t.right)\ndef depth(t): return 0 if t is None else 1 + max(depth(t.left), depth(t.right))",
        "root = None\nfor v in [5, 2, 8, 1]: root = insert(root, v)\nassert list(walk(root)) == [1, 2, 5, 8] and depth(root) == 3 and root.left.value == 2 and root.right.left is None",
    ),
    (
        "class Shape:\n    def area(self): raise NotImplementedError\n    def describe(self): return f'{type(self).__name__} of {self.area():.2f}'\nclass Square(Shape):\n    def __init__(self, s): self.s = s\n    def area(self): return self.s ** 2\nclass Plugin:\n    registry = []\n    def __init_subclass__(cls, **kw): Plugin.registry.append(cls.__name__)",
        "class Dot(Shape):\n    def area(self): return 0\nclass Wide(Square):\n    def __init__(self, s):\n        super().__init__(s)\n        self.w = 2\n    def area(self): return super().area() * self.w\nassert Square(2).describe() == 'Square of 4.00' and Dot().describe() == 'Dot of 0.00' and Wide(3).area() == 18\nassert isinstance(Wide(1), Shape) and issubclass(Wide, Square)\ntry: Shape().area()\nexcept NotImplementedError: pass\nelse: assert False\nclass Mine(Plugin): pass\nassert Plugin.registry == ['Mine']",
    ),
    (
        "class Subject:\n    def __init__(self): self._observers = []\n    def attach(self, f):\n        if f not in self._observers: self._observers.append(f)\n    def detach(self, f): self._observers.remove(f)\n    def notify(self, *args): return [f(*args) for f in self._observers]",
        "log = []\nclass Watcher:\n    def __init__(self): self.seen = 0\n    def update(self, x): self.seen += x\ns, w = Subject(), Watcher()\ns.attach(log.append)\ns.attach(w.update)\ns.notify(3)\nassert log == [3] and w.seen == 3\ndef f(x): return x\ns.attach(f)\ns.attach(f)\nassert s.notify(1) == [None, None, 1]\ns.detach(f)\nassert s.notify(1) == [None, None] and w.seen == 5",
    ),
    (
        "import sys\ndef deep(n): return 0 if n == 0 else 1 + deep(n - 1)\ndef forever(): return forever()",
        "assert deep(500) == 500\ntry: forever()\nexcept RecursionError: pass\nelse: assert False",
    ),
    (
        "def table(n):\n    for i in range(1, n + 1): print(f'{i:>3} x {n} = {i * n}')\ndef say(*words, sep=' ', end='\\n'): print(*words, sep=sep, end=end)",
        "import io, sys\nfrom contextlib import redirect_stdout\nbuffer = io.StringIO()\nwith redirect_stdout(buffer): table(500)\nassert buffer.getvalue().count('\\n') == 500 and len(buffer.getvalue()) > 8_000\nold, sys.stdout = sys.stdout, io.StringIO()\nsay('a', 'b', sep='-', end='!')\ntext = sys.stdout.getvalue()\nsys.stdout = old\nassert text == 'a-b!'",
    ),
    (
        "def big(n): return list(range(n))\ndef text(n): return 'x' * n\ndef total(xs): return sum(xs)\ndef nested(n): return [[i] * 10 for i in range(n)]",
        "assert total(big(200_000)) == sum(range(200_000)) and len(text(1_000_000)) == 10 ** 6\nassert nested(2_000)[1_999] == [1_999] * 10 and total(range(10)) == 45",
    ),
    (
        "import math\ndef nan(): return math.nan\ndef inf(): return -math.inf\ndef third(): return 1 / 3\ndef zero(): return -0.0",
        "import math\nassert math.isnan(nan()) and inf() == float('-inf') and third() == 1 / 3 and abs(third() - 0.3333) < 1e-3\nassert math.copysign(1, zero()) == -1 and round(third(), 3) == 0.333 and f'{third():.2f}' == '0.33'",
    ),
    (
        "def parse(text):\n    assert isinstance(text, str), 'text expected'\n    try: return int(text)\n    except ValueError as error: raise KeyError(text) from error",
        "assert parse('3') == 3\ntry: parse(3)\nexcept AssertionError as e: assert str(e) == 'text expected'\nelse: raise Exception\ntry: parse('x')\nexcept KeyError as e: assert e.args == ('x',) and isinstance(e.__cause__, ValueError) and isinstance(e, LookupError)\nelse: raise Exception",
    ),
    (
        "class Stack:\n    '''\n    >>> s = Stack()\n    >>> s.push(1)\n    >>> s.pop()\n    1\n    '''\n    def __init__(self): self.xs = []\n    def push(self, x): self.xs.append(x)\n    def pop(self):\n        '''\n        >>> Stack().pop()\n        Traceback (most recent call last):\n        IndexError: pop from empty list\n        '''\n        return self.xs.pop()",
        "import doctest\nresult = doctest.testmod(verbose=False)\nassert result.failed == 0 and result.attempted == 4, result",
    ),
    (
        "def evens(n):\n    for i in range(n):\n        if i % 2 == 0: yield i\nclass Countdown:\n    def __init__(self, n): self.n = n\n    def __iter__(self): return self\n    def __next__(self):\n        if self.n == 0: raise StopIteration\n        self.n -= 1\n        return self.n",
        "import itertools\nassert list(evens(6)) == [0, 2, 4] and list(Countdown(3)) == [2, 1, 0] and next(evens(1)) == 0 and sum(evens(9)) == 20\nassert list(itertools.islice(evens(100), 2)) == [0, 2] and [*map(str, evens(3))] == ['0', '2'] and dict(zip('ab', evens(4))) == {'a': 0, 'b': 2}\ng = evens(2)\nassert next(g) == 0 and next(g, 'end') == 'end'",
    ),
    (
        "from functools import lru_cache, partial, reduce\nimport operator\n@lru_cache(maxsize=None)\ndef ways(n): return 1 if n < 2 else ways(n - 1) + ways(n - 2)\ntimes = partial(operator.mul, 3)\nproduct = lambda xs: reduce(operator.mul, xs, 1)\nlookup = {'add': operator.add, 'sub': lambda a, b: a - b}",
        "assert ways(80) == 37889062373143906 and times(4) == 12 and product([1, 2, 3]) == 6\nassert lookup['add'](1, 2) == 3 and lookup['sub'](1, 2) == -1",
    ),
    (
        "from typing import Generic, TypeVar, Protocol\nT = TypeVar('T')\nclass Box(Generic[T]):\n    def __init__(self, item: T): self.item = item\n    def map(self, f): return Box(f(self.item))\nclass Named(Protocol):\n    name: str\ndef name_of(x: Named) -> str: return x.name",
        "box: Box = Box[int](3)\nassert box.map(lambda x: x + 1).item == 4\nclass Dog:\n    name = 'Rex'\nassert name_of(Dog()) == 'Rex'\nfrom types import SimpleNamespace\nclass Cat:\n    def __init__(self): self.name = 'Tom'\nassert name_of(Cat()) == 'Tom'",
    ),
    (
        "def f(x, /, y, *, z=1): return x + y + z\ndef g(*args, **kw): return args, kw",
        "assert f(1, 2) == 4 and f(1, y=2, z=3) == 6 and g(1, a=2) == ((1,), {'a': 2})\ntry: f(x=1, y=2)\nexcept TypeError: pass\nelse: assert False",
    ),
    (
        "class Matrix:\n    def __init__(self, rows): self.rows = rows\n    def __getitem__(self, key):\n        i, j = key\n        return self.rows[i][j]\n    def __setitem__(self, key, value): self.rows[key[0]][key[1]] = value\n    def __delitem__(self, i): del self.rows[i]\n    def __matmul__(self, o): return Matrix([[sum(a * b for a, b in zip(r, c)) for c in zip(*o.rows)] for r in self.rows])\n    def __iadd__(self, k):\n        self.rows = [[x + k for x in r] for r in self.rows]\n        return self",
        "m = Matrix([[1, 2], [3, 4]])\nm[0, 1] = 7\nassert m[0, 1] == 7 and (m @ m).rows[0][0] == 22\nm += 1\nassert m.rows == [[2, 8], [4, 5]]\ndel m[0]\nassert m.rows == [[4, 5]]",
    ),
]
WRITTEN = [Case(f"written {number}", text, tests) for number, (text, tests) in enumerate(_PAIRS)]

Checks = list[tuple[str, Any]]  # a call as an expression, and its value


def _equal(call: str, value: Any) -> str:
    return f"{call} == {value!r}"


def _indent(text: str, width: int = 4) -> str:
    return "".join(f"{' ' * width}{line}\n" for line in text.splitlines())


def _asserts(name: str, checks: Checks) -> str:
    return "".join(f"assert {_equal(*check)}\n" for check in checks)


def _same_names(name: str, checks: Checks) -> str:
    lines = ["n = 10", "x = [1, 2]", "total_ = 0"]
    for call, value in checks:
        lines += [f"expected = {value!r}", f"result = {call}", "assert result == expected, (result, expected)", "total_ += 1"]
    return "\n".join([*lines, f"assert n == 10 and x == [1, 2] and total_ == {len(checks)}\n"])


def _loop(name: str, checks: Checks) -> str:
    cases = ", ".join(f"(lambda: {call}, {value!r})" for call, value in checks)
    return f"cases = [{cases}]\nfor i, (case, want) in enumerate(cases):\n    got = case()\n    assert got == want, i\nassert i == len(cases) - 1\n"


def _human_eval(name: str, checks: Checks) -> str:
    body = "".join(f"    assert {_equal(call.replace(name + '(', 'candidate(', 1), value)}\n" for call, value in checks)
    return f"METADATA = {{'author': 'x'}}\n\ndef check(candidate):\n{body}\ncheck({name})\n"


def _unittest(name: str, checks: Checks, end: str = "\nif __name__ == '__main__':\n    unittest.main()\n") -> str:
    body = "".join(
        f"    def test_{n}(self):\n        self.assertEqual({call}, {value!r})\n" for n, (call, value) in enumerate(checks)
    )
    return (
        f"import unittest\n\nclass TestProgram(unittest.TestCase):\n    def setUp(self):\n        self.data = [1]\n{body}{end}"
    )


def _unittest_not_run(name: str, checks: Checks) -> str:
    return _unittest(name, checks, "")


def _subtests(name: str, checks: Checks) -> str:
    body = "".join(
        f"        with self.subTest({n}):\n            self.assertTrue({_equal(*check)})\n" for n, check in enumerate(checks)
    )
    return f"import unittest\nclass T(unittest.TestCase):\n    def test(self):\n{body}suite = unittest.defaultTestLoader.loadTestsFromTestCase(T)\nresult = unittest.TextTestRunner().run(suite)\nassert result.wasSuccessful() and result.testsRun == 1\n"


def _functions(name: str, checks: Checks) -> str:
    return "".join(f"def test_{n}():\n    assert {_equal(*check)}\n\n" for n, check in enumerate(checks))


def _functions_called(name: str, checks: Checks) -> str:
    calls = "".join(f"test_{n}()\n" for n in range(len(checks)))
    return _functions(name, checks) + calls + "print('All tests passed!')\n"


def _class(name: str, checks: Checks) -> str:
    return "class TestIt:\n    limit = 3\n" + _indent(_functions(name, checks).replace("():", "(self):"))


def _session(name: str, checks: Checks) -> str:
    return "".join(f">>> {_equal(*check)}\nTrue\n" for check in checks)


def _approximate(name: str, checks: Checks) -> str:
    lines = ["import math"]
    for call, value in checks:
        test = f"math.isclose({call}, {value!r}, rel_tol=1e-9) and abs({call} - {value!r}) < 1e-6"
        lines.append(f"assert {test if type(value) is float else _equal(call, value)}")
    return "\n".join([*lines, ""])


def _helper(name: str, checks: Checks) -> str:
    calls = "".join(f"check({call}, {value!r})\n" for call, value in checks)
    return f"failures = 0\ndef check(actual, expected):\n    global failures\n    if type(actual) is not type(expected) or actual != expected:\n        failures += 1\n{calls}assert failures == 0, failures\n"


def _main_guard(name: str, checks: Checks) -> str:
    return f"def run():\n{_indent(_asserts(name, checks))}\nif __name__ == '__main__':\n    run()\n    print('ok')\n"


def _every(name: str, checks: Checks) -> str:
    pairs = ", ".join(f"({call}, {value!r})" for call, value in checks)
    return f"data = [{pairs}]\nassert all(left == right for left, right in data) and len(data) == {len(checks)}\nassert not any(map(lambda pair: pair[0] != pair[1], data))\n"


def _text(name: str, checks: Checks) -> str:
    kept = [
        (call, value) for call, value in checks if not isinstance(value, set | frozenset | complex)
    ]  # whose text does not repeat
    return "".join(f"assert repr({call}) == repr({value!r}), 'text of {n}'\n" for n, (call, value) in enumerate(kept))


def _evaluated(name: str, checks: Checks) -> str:
    return "".join(f"assert eval({call!r}) == {value!r}\n" for call, value in checks)


def _raised(name: str, checks: Checks) -> str:
    return (
        _asserts(name, checks) + f"try:\n    {name}(1, 2, 3, 4, 5, 6, not_there=7)\nexcept TypeError as e:\n    assert str(e)\n"
    )


def _captured(name: str, checks: Checks) -> str:
    prints = "".join(f"    print({_equal(*check)})\n" for check in checks)
    return f"import contextlib, io\nout = io.StringIO()\nwith contextlib.redirect_stdout(out):\n{prints}assert out.getvalue() == 'True\\n' * {len(checks)}, out.getvalue()\n"


def _kept_arguments(name: str, checks: Checks) -> str:
    lines = ["import copy", "shared = [3, 1, 2]", "before = copy.deepcopy(shared)"]
    return "\n".join([*lines, _asserts(name, checks), "assert shared == before\n"])


def _threads(name: str, checks: Checks) -> str:
    return f"import functools\nanswers = []\ndef add(job):\n    answers.append(job())\nfor job in [{', '.join(f'functools.partial(lambda: {call})' for call, _ in checks)}]:\n    add(job)\nassert answers == {[value for _, value in checks]!r}\n"


def _tuples(name: str, checks: Checks) -> str:
    return f"from collections import namedtuple\nfrom dataclasses import dataclass\nCase = namedtuple('Case', 'got want')\n@dataclass\nclass Row:\n    case: Case\n    label: str = ''\nrows = [{', '.join(f'Row(Case({call}, {value!r}))' for call, value in checks)}]\nfor row in rows:\n    assert row.case.got == row.case.want, row\n"


def _random(name: str, checks: Checks) -> str:
    return (
        "import random\nrandom.seed(1)\nfirst = [random.randint(0, 9) for _ in range(5)]\n"
        + _asserts(name, checks)
        + "random.seed(1)\nassert first == [random.randint(0, 9) for _ in range(5)]\n"
    )


def _verbose(name: str, checks: Checks) -> str:
    lines = []
    for n, (call, value) in enumerate(checks):
        lines += [
            f"actual = {call}",
            f"print('test {n}:', str(actual)[:50], 'passed' if actual == {value!r} else 'FAILED')",
            f"assert actual == {value!r}, f'test {n}: {{actual}}'",
        ]
    return "\n".join([*lines, ""])


def _timed(name: str, checks: Checks) -> str:
    return "import time\nstart = time.perf_counter()\n" + _asserts(name, checks) + "assert time.perf_counter() - start >= 0\n"


def _nested(name: str, checks: Checks) -> str:
    body = "".join(f"        passed += {_equal(*check)}\n" for check in checks)
    return f"def outer():\n    passed = 0\n    def inner():\n        nonlocal passed\n{body}    inner()\n    return passed\nassert outer() == {len(checks)}\n"


STYLES: list[Callable[[str, Checks], str]] = [
    _asserts, _same_names, _loop, _human_eval, _unittest, _unittest_not_run, _subtests, _functions, _functions_called, _class,
    _session, _approximate, _helper, _main_guard, _every, _text, _evaluated, _raised, _captured, _kept_arguments, _threads,
    _tuples, _random, _verbose, _timed, _nested,
]  # fmt: skip


#: Imports that tests need for the values of some functions.
_IMPORTS = {
    "Counter(": "from collections import Counter",
    "Fraction(": "from fractions import Fraction",
    "Decimal(": "from decimal import Decimal",
    "datetime.": "import datetime",
}


def _checks(source: str, arguments: list[str]) -> tuple[str, Checks]:
    """Return the name of the function and its calls with their values, which the function itself gives here."""
    namespace: dict[str, Any] = {}
    exec(source, namespace)
    name = list(namespace)[-1]
    checks = []
    for each in arguments:
        call, value = f"{name}({each})", eval(f"{name}({each})", namespace)
        if isinstance(value, defaultdict):
            call, value = f"dict({call})", dict(value)
        checks.append((f"list({call})", list(value)) if hasattr(value, "__next__") else (call, value))
    return name, checks


def cases(count: int, seed: int = 0) -> Iterator[Case]:
    """Yield honest programs: written ones, then functions in styles, each in one of the guises, in random order."""
    yield from WRITTEN
    combinations = [(function, style) for function in FUNCTIONS for style in STYLES]
    random.Random(seed).shuffle(combinations)
    for number, ((source, arguments), style) in enumerate(combinations[: max(count - len(WRITTEN), 0)]):
        name, checks = _checks(source, arguments)
        guise = GUISES[number % len(GUISES)]
        prompt = ">>> " if style is _session else ""
        lines = [f"{prompt}{line}\n" for mark, line in _IMPORTS.items() if mark in repr(checks)]
        yield Case(f"{name}{guise.__name__}{style.__name__}", guise(source, name), "".join(lines) + style(name, checks))
