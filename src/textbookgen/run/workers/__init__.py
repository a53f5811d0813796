"""How each family of stages is worked, one module a family; each has one function, `work`."""
