"""The public names of `textbookgen`: complete, documented, lazy, and free of dependencies until they are used."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import textbookgen

SOURCE = Path(textbookgen.__file__)


def type_checking_imports() -> dict[str, str]:
    """The names that are imported for type checkers, and their modules."""
    [block] = [node for node in ast.parse(SOURCE.read_text(encoding="utf-8")).body if isinstance(node, ast.If)]
    return {
        alias.name: str(statement.module)
        for statement in block.body
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    }


def test_names_are_sorted_and_known_to_type_checkers() -> None:
    assert textbookgen.__all__ == sorted(set(textbookgen.__all__))
    assert set(textbookgen.__all__) == type_checking_imports().keys()
    assert 40 <= len(textbookgen.__all__) <= 55


@pytest.mark.parametrize("name", textbookgen.__all__)
def test_a_name_is_imported_from_its_module_and_documented(name: str) -> None:
    value = getattr(textbookgen, name)
    module = importlib.import_module(type_checking_imports()[name])
    assert value is getattr(module, name)
    if inspect.isclass(value) or inspect.isfunction(value):
        assert value.__module__ == module.__name__
        assert inspect.getdoc(value), "no docstring"
        assert value.__doc__, "the docstring is inherited"


def public_classes() -> list[type]:
    modules = [f"textbookgen.api.{file.stem}" for file in sorted((SOURCE.parent / "api").glob("[a-z]*.py"))]
    return [
        value
        for module in map(importlib.import_module, modules)
        for name, value in vars(module).items()
        if inspect.isclass(value) and value.__module__ == module.__name__ and not name.startswith("_")
    ]


@pytest.mark.parametrize("kind", public_classes(), ids=lambda kind: f"{kind.__module__.rpartition('.')[2]}.{kind.__name__}")
def test_classes_of_the_api_document_their_methods_and_fields(kind: type) -> None:
    """What the generated reference shows of a class: its docstring, and that of every method and field."""
    assert kind.__doc__
    for name, value in vars(kind).items():
        function = value.__func__ if isinstance(value, classmethod | staticmethod) else getattr(value, "fget", value)
        if inspect.isfunction(function) and not name.startswith("_") and function.__module__ == kind.__module__:
            assert function.__doc__, f"{name} has no docstring"
    if "model_fields" in dir(kind) or getattr(kind, "__dataclass_fields__", None) is None:
        return
    source = inspect.getsource(kind)
    for name in vars(kind).get("__annotations__", {}):
        if not name.startswith("_") and "ClassVar" not in str(kind.__annotations__[name]):
            documented = f"        {name}:" in source or f"`{name}`" in source or "#: " in source
            assert documented, f"the field {name} is not documented"


def test_names_are_listed_by_dir_and_unknown_ones_are_reported() -> None:
    assert set(textbookgen.__all__) <= set(dir(textbookgen))
    with pytest.raises(AttributeError, match="module 'textbookgen' has no attribute 'Judge'"):
        _ = textbookgen.Judge


def test_importing_the_package_imports_only_the_standard_library() -> None:
    code = "import sys; before = set(sys.modules); import textbookgen; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    roots = {name.partition(".")[0] for name in done.stdout.split()}
    assert roots - set(sys.stdlib_module_names) == {"textbookgen"}
    assert [name for name in done.stdout.split() if name.startswith("textbookgen.")] == []


def test_importing_one_name_imports_no_heavy_library() -> None:
    code = "import sys; from textbookgen import RunError, hookimpl; print('polars' in sys.modules, 'pydantic' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
