"""Reads a TOML recipe, looks up its plugins and prompts, and turns it into a plan."""
