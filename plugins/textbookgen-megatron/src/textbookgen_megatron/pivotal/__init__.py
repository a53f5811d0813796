"""Pivotal token search: the single tokens of a completion that decide whether it will be right (arXiv 2412.08905)."""
