"""The plugin boundary: whatever a plugin raises becomes an error that names the plugin and the method; only Ctrl-C passes."""

from __future__ import annotations

import asyncio
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from textbookgen.api.errors import PluginError, TextbookgenError
from textbookgen.api.full_disks import disk_full

#: Seconds after which an import that has not returned is reported.
_SLOW_IMPORT = 10.0


@contextmanager
def plugin_boundary(plugin: str, method: str) -> Iterator[None]:
    """Turn any error of the block, except one that is meant for users, into a PluginError.

    A plugin may raise anything, and may call `sys.exit`. Neither may end the program as if nothing had happened, or without
    saying whose code it was.

    Args:
        plugin: what provides the code: the distribution with its version, or the name of the class in recipes.
        method: the hook or method that is called.

    Raises:
        PluginError: the block raised an error that is not a TextbookgenError.
        DiskFull: it raised one because there was no space for a file.
    """
    try:
        yield
    except TextbookgenError:
        raise
    except (KeyboardInterrupt, GeneratorExit, asyncio.CancelledError):
        raise
    except BaseException as error:  # SystemExit, and panics of libraries in Rust, are not of the class Exception
        full = disk_full(error)
        if full is not None:
            raise full from error
        problem = f"{plugin} failed in `{method}`: {describe_error(error)}"
        hint = "this is an error in the plugin: `textbookgen --traceback …` shows where; report it to the plugin's authors"
        raise PluginError(problem, hint=hint) from error


def describe_error(error: BaseException) -> str:
    """Return the type and the message of an error, and the line of code that raised it."""
    if isinstance(error, SystemExit):
        text = f"it called `sys.exit({error.code!r})`"
    elif isinstance(error, NotImplementedError) and not str(error):
        text = "the method is not implemented"
    else:
        message = str(error).strip()
        text = f"{type(error).__name__}: {message}" if message else type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return text
    last = frames[-1]
    return f"{text} ({Path(last.filename).name}, line {last.lineno}, in {last.name})"


@contextmanager
def report_slow_import(plugin: str) -> Iterator[None]:
    """Write a line to standard error if the block, which imports a plugin, takes longer than ten seconds."""

    def report() -> None:
        sys.stderr.write(f"still importing the plugin {plugin}; to do without it, set TEXTBOOKGEN_PLUGINS (docs/plugins.md)\n")

    timer = threading.Timer(_SLOW_IMPORT, report)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
