"""The deduplication stages, one module per stage."""
