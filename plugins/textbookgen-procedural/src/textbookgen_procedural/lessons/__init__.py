"""Lessons that the embedded teacher can give on topics outside programming: explanations around examples that it computes."""
