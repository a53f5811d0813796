"""The decontamination stages, one module per stage."""
