"""Text as the compiled loops read it: normalized bytes and words."""
