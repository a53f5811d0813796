"""Models to and from the format of the transformers library, which itself is not needed for it."""
