"""Serving of trained models in a separate process."""
