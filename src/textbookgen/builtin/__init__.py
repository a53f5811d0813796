"""Plugins that are always there; they come through the same hooks as anybody's."""
