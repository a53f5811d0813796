"""The command line: `textbookgen NOUN VERB`; the module of a noun is imported only when it is used."""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from textbookgen.api.errors import TextbookgenError

NOUNS = {
    "recipe": "Run, check, list and create recipes.",
    "run": "List, show, compare and clean up runs.",
    "corpus": "Inspect documents and trace why each was kept or dropped.",
    "stage": "List stages and their options.",
    "teacher": "List teachers and their options, send a request, inspect cached replies.",
    "sampler": "List samplers and their options.",
    "prompt": "List, show and render prompt templates.",
    "plugin": "List, create and check plugins.",
}


class _Nouns(click.Group):
    """A group whose subcommands are modules, imported when used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(NOUNS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in NOUNS:
            return None
        command: click.Command = importlib.import_module(f"textbookgen.cli.{cmd_name}").group
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(NOUNS.items()))

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in NOUNS:
            from difflib import get_close_matches

            close = get_close_matches(args[0], NOUNS, n=1)
            ctx.fail(f"No such command '{args[0]}'." + (f" Did you mean '{close[0]}'?" if close else ""))
        return super().resolve_command(ctx, args)


@click.command(cls=_Nouns, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option("--traceback", is_flag=True, help="Print a Python traceback on errors.")
@click.option("--verbose", is_flag=True, help="Enable info-level logging.")
@click.version_option(package_name="textbookgen")
def commands(traceback: bool, verbose: bool) -> None:
    """Train small language models on synthetic textbook-quality data, from one recipe.

    Start with `textbookgen recipe list` and `textbookgen recipe run recipes/tiny.toml`.
    """
    if verbose:
        import logging

        logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")


def main() -> None:
    """Run the command line. Errors that users can fix are printed without a traceback, with exit code 1."""
    try:
        commands.main(standalone_mode=False)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except click.Abort:
        click.echo("interrupted", err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.exit(0)
    except Exception as error:
        shown = _for_users(error)
        if shown is None or "--traceback" in sys.argv:
            raise
        from textbookgen.api.terminal import escape_controls

        click.echo(escape_controls(str(shown)), err=True)
        sys.exit(1)


def _for_users(error: Exception) -> TextbookgenError | None:
    """Return the error to print without a traceback: one that is meant for users, or one of the disk; None for others."""
    from textbookgen.api.errors import TextbookgenError, WorkspaceError
    from textbookgen.api.full_disks import disk_full

    if isinstance(error, TextbookgenError):
        return error
    full = disk_full(error)
    if full is None and isinstance(error, OSError) and error.filename is not None:
        return WorkspaceError(f"cannot be used: {error.strerror or error}", place=os.fsdecode(error.filename))
    return full
