"""Runs the command line as `python -m textbookgen`."""

from textbookgen.cli import main

main()
