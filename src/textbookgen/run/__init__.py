"""Executes a plan: the engine, one worker module per stage family, summaries and reports."""
