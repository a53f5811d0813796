"""The command line: a noun, then a verb; each noun's room is entered only when it is called."""

from __future__ import annotations

import importlib
import sys

import click

NOUNS = {
    "recipe": "Run, check, list and begin recipes.",
    "run": "What runs came to: list, show, compare, clean up.",
    "corpus": "Look at documents: what is there, why it is there, why it is not.",
    "stage": "What stages there are, and their options.",
    "teacher": "What teachers there are, and their options; ask one; what the ledger holds.",
    "sampler": "What samplers there are, and their options.",
    "prompt": "Show and render prompt templates.",
    "plugin": "Who is installed; make and check a plugin of your own.",
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
@click.option("--traceback", is_flag=True, help="Show where in the code an error arose.")
@click.option("--verbose", is_flag=True, help="Log what is done.")
@click.version_option(package_name="textbookgen")
def commands(traceback: bool, verbose: bool) -> None:
    """Small language models trained on data better than the web, from one recipe.

    Begin with `textbookgen recipe list` and `textbookgen recipe run recipes/tiny.toml`.
    """
    if verbose:
        import logging

        logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")


def main() -> None:
    """Runs the command line; an error meant for people ends it with exit code 1 and no traceback."""
    try:
        commands.main(standalone_mode=False)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except click.Abort:
        click.echo("stopped", err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.exit(0)
    except Exception as error:
        from textbookgen.api.errors import TextbookgenError

        if not isinstance(error, TextbookgenError) or "--traceback" in sys.argv:
            raise
        click.echo(str(error), err=True)
        sys.exit(1)
