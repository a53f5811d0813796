"""Run the command line with `python -m textbookgen`."""

from textbookgen.cli import main

main()
