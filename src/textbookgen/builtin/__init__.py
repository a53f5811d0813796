"""Built-in plugins: always loaded, and registered through the same hooks as any other plugin."""
