"""Conversion of models to and from the format of transformers, without the library itself."""
