"""The stages, one module each, and the options they share."""
