"""Everything that imports torch and transformers for training; only training processes import it."""
