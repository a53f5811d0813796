"""Stages of the plugin, one module each."""
