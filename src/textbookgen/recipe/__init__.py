"""From a TOML file and the installed plugins to a plan: parsing, plugin lookup, prompts, planning."""
