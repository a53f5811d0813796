"""Pivotal token search: finds the single tokens that decide whether a completion will be correct (arXiv 2412.08905)."""
