"""Traces documents through a run, and estimates what a recipe will cost."""
