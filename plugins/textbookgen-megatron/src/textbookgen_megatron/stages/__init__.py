"""The stages of this plugin: their options, checks and estimates; the work itself runs in separate processes."""
