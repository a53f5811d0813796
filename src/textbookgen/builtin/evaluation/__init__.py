"""How the stage `evaluate` scores models: by the answers they write, and by the likelihood of given ones."""
