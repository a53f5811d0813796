"""Programs that try to pass tests they fail: through names, exits, the harness, forged messages, and objects that lie.

Each is run against tests that a wrong `square` fails, so a pass is a false one.
"""

from __future__ import annotations

_WRONG = "def square(x): return 0\n"

#: Tests in several styles, by name; each cheat names one.
TESTS = {
    "check": "def check(candidate):\n    assert candidate(2) == 4\n    assert candidate(-3) == 9\ncheck(square)",
    "variables": "expected = 4\nresult = square(2)\nassert result == expected\nfor n, want in [(3, 9), (4, 16)]:\n    assert square(n) == want",
    "cases": "cases = [(2, 4), (-3, 9)]\nfailures = 0\nfor case, want in cases:\n    got = square(case)\n    if got != want:\n        failures += 1\nassert failures == 0 and len(cases) == 2",
    "unittest": "import unittest\nclass T(unittest.TestCase):\n    def test_square(self):\n        self.assertEqual(square(2), 4)\n        self.assertAlmostEqual(square(1.5), 2.25)\nunittest.main()",
    "case not run": "import unittest\nclass T(unittest.TestCase):\n    def test_square(self):\n        self.assertEqual(square(2), 4)\n",
    "functions": "def test_square():\n    assert square(2) == 4\ndef test_negative():\n    assert square(-3) == 9",
    "session": ">>> square(2)\n4\n>>> square(-3)\n9",
    "close": "import math\nassert math.isclose(square(2), 4)\nassert abs(square(0.5) - 0.25) < 1e-6\nassert round(square(1.5), 2) == 2.25",
    "list": "assert [square(n) for n in range(4)] == [0, 1, 4, 9]\nassert sorted(map(square, [3, 2])) == [4, 9]\nassert sum(square(n) for n in (1, 2)) == 5",
    "error": "try:\n    square('x')\nexcept TypeError:\n    pass\nelse:\n    raise AssertionError('no error')\nassert square(2) == 4",
    "output": "import contextlib, io\nout = io.StringIO()\nwith contextlib.redirect_stdout(out):\n    print(square(2))\nassert out.getvalue() == '4\\n', out.getvalue()",
    "containers": "wanted = {'a': [4, (9,)], 'b': {16}}\nassert {'a': [square(2), (square(3),)], 'b': {square(4)}} == wanted",
    "flag": "ok = square(2) == 4\nif not ok:\n    raise SystemExit(1)\nassert ok is True",
    "type": "value = square(2)\nassert isinstance(value, int) and value == 4 and type(value) is int and str(value) == '4'",
    "string": "assert f'{square(2)}' == '4' and repr(square(3)) == '9'",
    "data": "data = [1, 2, 3]\nresults = [square(x) for x in data]\nassert results == [x * x for x in data] and data == [1, 2, 3]",
}

#: Names of variables, functions and classes of the tests that a program may define, too.
_VARIABLES = [
    "expected",
    "result",
    "n",
    "want",
    "cases",
    "failures",
    "case",
    "got",
    "ok",
    "value",
    "data",
    "results",
    "wanted",
    "out",
    "check",
    "T",
    "test_square",
    "unittest",
]
_BUILTINS = [
    "abs",
    "all",
    "any",
    "isinstance",
    "len",
    "list",
    "map",
    "print",
    "range",
    "round",
    "sorted",
    "str",
    "sum",
    "type",
    "zip",
    "enumerate",
    "AssertionError",
]
_LIAR = """
class Liar:
    def __init__(self, x=0): self.x = x
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __hash__(self): return 4
    def __repr__(self): return '4'
    def __bool__(self): return True
"""

#: Program and tests, by name.
CHEATS: dict[str, tuple[str, str]] = {}


def _add(name: str, text: str, *styles: str) -> None:
    for style in styles:
        CHEATS[f"{name} [{style}]"] = text, TESTS[style]


for _name in _VARIABLES:
    _add(
        f"global {_name} of the program",
        f"{_name} = 0\ndef square(x):\n    global {_name}\n    {_name} = 0\n    return 0\n",
        next((style for style, text in TESTS.items() if _name in text), "check"),
    )
for _name in _BUILTINS:
    _style = next((style for style, text in TESTS.items() if f"{_name}(" in text), "check")
    _add(f"defines {_name}", f"def {_name}(*args, **named): return True\n{_WRONG}", _style)
    _add(f"patches {_name}", f"import builtins\nbuiltins.{_name} = lambda *args, **named: True\n{_WRONG}", _style)

_add(
    "all variables at once",
    "import sys\ndef square(x):\n    f = sys._getframe()\n    while f:\n        for k in list(f.f_globals):\n            if k in ('expected', 'want', 'cases', 'ok'): f.f_globals[k] = 0\n        f = f.f_back\n    return 0\n",
    "variables",
    "cases",
    "flag",
)
_add("os._exit at import", "import os\nos._exit(0)\n", "check", "unittest")
_add("os._exit when called", "import os\ndef square(x): os._exit(0)\n", "check", "cases", "error")
_add(
    "os._exit by a thread",
    "import os, threading\ndef square(x):\n    threading.Thread(target=os._exit, args=(0,)).start()\n    import time; time.sleep(1)\n",
    "check",
)
_add(
    "os._exit by a timer",
    "import os, signal\nsignal.signal(signal.SIGALRM, lambda *a: os._exit(0))\nsignal.setitimer(signal.ITIMER_REAL, 0.01)\n"
    + _WRONG,
    "check",
)
_add("os._exit at exit", "import atexit, os\natexit.register(os._exit, 0)\n" + _WRONG, "functions", "flag")
_add(
    "os._exit when collected",
    "import os\nclass D:\n    def __del__(self): os._exit(0)\ndef square(x):\n    D()\n    return 0\n",
    "unittest",
)
_add("sys.exit at import", "import sys\nsys.exit(0)\n", "check", "functions", "session", "case not run")
_add("sys.exit when called", "import sys\ndef square(x): sys.exit(0)\n", "check", "unittest", "functions", "cases", "flag")
_add("sys.exit(None) when called", "import sys\ndef square(x): sys.exit()\n", "check", "variables")
_add("sys.exit as the function", "import sys\nsquare = lambda x, e=sys.exit: e(0)\n", "check", "functions")
_add("SystemExit as the function", "def square(x): raise SystemExit\n", "check", "case not run", "session")
_add("subclass of SystemExit", "class E(SystemExit): code = 0\ndef square(x): raise E\n", "check", "functions", "unittest")
_add("kills itself", "import os\ndef square(x): os.kill(os.getpid(), 9)\n", "check")
_add("SIGTERM to itself", "import os, signal\ndef square(x): os.kill(os.getpid(), signal.SIGTERM)\n", "check")
_add("exits in a __getattr__", "import os\nclass M:\n    def __getattr__(self, n): os._exit(0)\nsquare = M()\n", "check")
_add("raises StopIteration", "def square(x): raise StopIteration\n", "check", "functions", "variables")
_add("raises GeneratorExit", "def square(x): raise GeneratorExit\n", "functions", "list")
_add("raises KeyboardInterrupt", "def square(x): raise KeyboardInterrupt\n", "check", "functions")
_add("raises SkipTest", "import unittest\ndef square(x): raise unittest.SkipTest('no')\n", "check", "functions")
_add("prints success", "print('OK')\nprint('All tests passed')\nprint('{\"ended\": true}')\n" + _WRONG, "check", "unittest")
_add("prints the expected output", "def square(x): print(4)\n", "output")
_add(
    "str whose text is right",
    "class S(str):\n    def __str__(self): return '4'\ndef square(x): return S('4\\n4')\n",
    "type",
    "list",
)
_add(
    "patched unittest",
    "import unittest\nfor n in dir(unittest.TestCase):\n    if n.startswith('assert'): setattr(unittest.TestCase, n, lambda *a, **k: None)\n"
    + _WRONG,
    "check",
    "functions",
    "unittest",
    "case not run",
)
_add("patched unittest.main", "import unittest\nunittest.main = lambda *a, **k: None\n" + _WRONG, "unittest", "list")
_add(
    "load_tests",
    "def load_tests(loader, tests, pattern):\n    import unittest\n    return unittest.TestSuite()\n" + _WRONG,
    "unittest",
    "case not run",
)
_add(
    "setUpModule that skips",
    "import unittest\ndef setUpModule(): raise unittest.SkipTest('no')\n" + _WRONG,
    "unittest",
    "case not run",
)
_add("patched math", "import math\nmath.isclose = lambda *a, **k: True\n" + _WRONG, "check", "data")
_add(
    "fake math module",
    "import sys, types\nm = types.ModuleType('math')\nm.isclose = lambda *a, **k: True\nsys.modules['unittest'] = sys.modules['io'] = m\n"
    + _WRONG,
    "functions",
    "variables",
    "close",
)
_add(
    "module file beside the tests",
    "open('unittest.py', 'w').write('class TestCase: pass\\ndef main(): pass\\n')\nopen('math.py', 'w').write('isclose = lambda *a: True')\n"
    + _WRONG,
    "unittest",
    "close",
)
_add(
    "import hook",
    "import sys, types\nclass F:\n    def find_spec(self, *a): raise SystemExit(0)\nsys.meta_path.insert(0, F())\n" + _WRONG,
    "unittest",
    "close",
    "output",
)
_add(
    "trace function",
    "import sys\ndef trace(frame, event, arg):\n    frame.f_trace_opcodes = True\n    if event == 'exception': raise SystemExit(0)\n    return trace\nsys.settrace(trace)\n"
    + _WRONG,
    "check",
    "functions",
)
_add(
    "profile function",
    "import sys\ndef profile(frame, event, arg):\n    if 'tests' in frame.f_code.co_filename: raise SystemExit(0)\nsys.setprofile(profile)\n"
    + _WRONG,
    "check",
)
_add(
    "equal to everything",
    _LIAR + "def square(x): return Liar()\n",
    "check",
    "variables",
    "cases",
    "functions",
    "list",
    "containers",
    "data",
    "session",
    "type",
    "string",
)
_add(
    "int that lies",
    "class I(int):\n    def __eq__(self, o): return True\n    def __ne__(self, o): return False\n    __hash__ = int.__hash__\n    __repr__ = __str__ = lambda self: '4'\ndef square(x): return I(7)\n",
    "check",
    "cases",
    "type",
    "containers",
    "list",
    "unittest",
)
_add(
    "float that lies",
    "class F(float):\n    def __eq__(self, o): return True\n    def __sub__(self, o): return 0.0\n    __rsub__ = __sub__\n    def __lt__(self, o): return True\n    def __round__(self, n=None): return self\n    __hash__ = float.__hash__\ndef square(x): return F(7)\n",
    "close",
    "check",
    "unittest",
)
_add(
    "str that lies",
    "class S(str):\n    def __eq__(self, o): return True\n    __hash__ = str.__hash__\ndef square(x): return S('4')\n",
    "check",
    "type",
)
_add(
    "list that lies",
    "class L(list):\n    def __eq__(self, o): return True\n    def __iter__(self): return iter([0])\ndef square(x): return L()\n",
    "check",
    "containers",
)
_add("lying __class__", _LIAR + "Liar.__class__ = property(lambda self: int)\ndef square(x): return Liar()\n", "type", "check")
_add(
    "lying metaclass",
    "class M(type):\n    def __eq__(self, o): return True\n    def __instancecheck__(self, o): return True\n    __hash__ = type.__hash__\nclass V(metaclass=M): pass\ndef square(x): return V\n",
    "check",
    "containers",
)
_add("mock.ANY", "from unittest.mock import ANY\ndef square(x): return ANY\n", "check", "containers", "list")
_add("a Mock", "from unittest.mock import MagicMock\nsquare = MagicMock()\n", "check", "close", "cases")
_add("NotImplemented", "def square(x): return NotImplemented\n", "check", "list")
_add(
    "reflected operators",
    "class R:\n    __radd__ = __rsub__ = __rmul__ = lambda self, o: o\n    __abs__ = __round__ = lambda self, *a: 2.25\n    def __eq__(self, o): return o\ndef square(x): return R()\n",
    "close",
    "list",
)
_add("list changed after it was returned", "kept = []\ndef square(x):\n    kept.append(x)\n    return kept\n", "list", "cases")
_add(
    "reads the frames of the tests",
    "import sys\ndef square(x):\n    f = sys._getframe()\n    while f:\n        for k in ('want', 'expected'):\n            if k in f.f_locals: return f.f_locals[k]\n        f = f.f_back\n    return 0\n",
    "variables",
    "cases",
)
_add(
    "reads the source of the tests",
    "import ast, linecache\ndef square(x):\n    for lines in list(linecache.cache.values()):\n        if len(lines) > 2 and any('square(2)' in line for line in lines[2]): return 4\n    return 0\n",
    "check",
    "string",
)
_add(
    "reads the heap",
    "import gc\ndef square(x):\n    for o in gc.get_objects():\n        if isinstance(o, dict) and ('want' in o or 'expected' in o) and 'square' in o: return o.get('want', o.get('expected'))\n    return 0\n",
    "variables",
)
_add(
    "finds the code of the tests",
    "import gc, types\nfor o in gc.get_objects():\n    if isinstance(o, types.FunctionType) and o.__name__ in ('check', 'run', 'attempt', 'run_tests'): o.__code__ = (lambda *a, **k: {'ended': True}).__code__\n"
    + _WRONG,
    "check",
)
_add("reads /proc/self/mem", "def square(x):\n    open('/proc/self/mem', 'rb').read(1)\n    return 4\n", "check")
_add(
    "reads the tests' descriptor",
    "import os\ndef square(x):\n    for fd in range(3, 32):\n        try: data = os.pread(fd, 1 << 16, 0)\n        except OSError: continue\n        if b'square' in data: return 4\n    return 0\n",
    "check",
    "string",
)
_add(
    "overwrites constants with ctypes",
    "import ctypes\ndef square(x):\n    ctypes.memmove(id(4) + 24, id(0) + 24, 4)\n    return 0\n",
    "check",
    "cases",
)
_add(
    "overwrites True with ctypes",
    "import ctypes\nctypes.memmove(id(False) + 16, id(True) + 16, 16)\n" + _WRONG,
    "cases",
    "flag",
)


def _forge(*messages: str) -> str:
    """Return a program that writes messages to its socket before it is asked, or when it is."""
    return (
        "import json, os, struct\ndef send(message):\n    data = json.dumps(message).encode()\n    os.write(4, struct.pack('<I', len(data)) + data)\n"
        + "".join(f"send({message})\n" for message in messages)
    )


_ANSWER = "{'value': ['tuple', ['list', 1, 'square', 'check'], ['dict', 3, ['square', ['builtin', 'abs']], ['check', ['builtin', 'print']]]]}"
_add("forged answer to names", _forge(_ANSWER) + _WRONG, "check", "variables")
_add("forged answers to all", _forge(_ANSWER, *["{'value': 4}"] * 9) + _WRONG, "check", "cases")
_add(
    "forged changes",
    _forge(
        "{'value': 4, 'changes': [['list', 0, 4, 9], ['list', 2, 1]], 'args_now': [4], 'globals': {'expected': 0, 'want': 0}}"
    )
    + _WRONG,
    "data",
    "variables",
)
_add(
    "forged description with __eq__",
    _forge(
        _ANSWER.replace("['builtin', 'abs']", "['class', 0]"),
        "{'value': ['list', 5, 'C', ['list', 7], ['list', 9, '__eq__', '__call__'], ['list', 11], ['list', 13, ['list', 15, '__eq__', None], ['list', 17, '__ne__', None]], ['dict', 19, ['hashable', True], ['generic', False], ['error', '']], None]}",
    )
    + "import time\ntime.sleep(5)\n",
    "check",
)
_add(
    "forged request",
    _forge(
        "{'do': 'call', 'on': 0, 'args': []}",
        "{'do': 'set', 'on': 0, 'args': ['x', 1]}",
        "{'do': 'attr', 'on': 0, 'args': ['__globals__']}",
    )
    + _WRONG,
    "check",
)
_add(
    "forged error that is lent",
    _forge("{'raised': 'SystemExit', 'args': ['tuple', 0], 'lent': 0}") + _WRONG,
    "check",
    "functions",
)
_add("forged report", 'import os\nos.write(3, b\'{"ended": true, "key": ""}\\n\')\nos._exit(0)\n', "check", "unittest")
_add(
    "forged report on every descriptor",
    "import os\nfor fd in range(3, 64):\n    try: os.write(fd, b'{\"ended\": true}\\n')\n    except OSError: pass\n" + _WRONG,
    "check",
)
_add("closes every descriptor", "import os\nos.closerange(0, 64)\n" + _WRONG, "check", "functions")
_add("never answers", "import time\ndef square(x): time.sleep(60)\n", "check")
_add("endless answer", "def square(x): return [0] * 10 ** 8\n", "check")
_add(
    "deeply nested answer", "def square(x):\n    r = []\n    for _ in range(100_000): r = [r]\n    return r\n", "check", "cases"
)
_add(
    "replaces the function that serves it",
    "import gc\nfor o in gc.get_objects():\n    if type(o).__name__ == 'ObjectServer': o.encode = lambda v: 4\n" + _WRONG,
    "check",
)
_add(
    "patched json",
    "import json\njson.dumps = lambda *a, **k: '{\"value\": 4}'\njson.loads = lambda *a, **k: {'do': 'names', 'on': -1, 'args': []}\n"
    + _WRONG,
    "check",
    "cases",
)
_add(
    "patched struct and socket",
    "import socket, struct\nstruct.pack = lambda *a: b''\nsocket.socket.sendall = lambda *a: None\n" + _WRONG,
    "check",
)
_add(
    "patched doctest",
    "import doctest\ndoctest.DocTestRunner.run = lambda *a, **k: doctest.TestResults(0, 9)\n" + _WRONG,
    "functions",
    "list",
    "session",
)
_add("patched random", "import random\nrandom.seed = lambda *a: None\nrandom.getstate = lambda: None\n" + _WRONG, "check")
_add("no function at all", "x = 1\n", "check", "functions", "session")
_add(
    "a class named square",
    "class square:\n    def __init__(self, x): pass\n    def __eq__(self, o): return True\n",
    "check",
    "cases",
    "list",
)
_add("generator instead of a value", "def square(x): yield x * x\n", "check", "list")
_add("coroutine instead of a value", "async def square(x): return x * x\n", "check", "cases")
_add(
    "swallows assertions",
    "import contextlib, sys\nsys.excepthook = lambda *a: None\nclass C(contextlib.ContextDecorator):\n    def __enter__(self): return self\n    def __exit__(self, *a): return True\n@C()\ndef square(x): assert False\n",
    "check",
    "functions",
)
