"""What runs inside the walls: standard library only, imported by an interpreter that sees neither the host nor its packages."""
