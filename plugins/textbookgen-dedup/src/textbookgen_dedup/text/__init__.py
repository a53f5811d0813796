"""Text for the compiled loops: normalization, bytes of words, and Python code as words."""
