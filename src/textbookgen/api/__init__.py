"""The public API: everything a plugin may import, and nothing else of the project."""
