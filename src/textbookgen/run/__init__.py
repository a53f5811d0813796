"""Executes a plan: the engine, one worker per stage family, and the report."""
