"""Workers: one module per stage family that runs a step of it."""
