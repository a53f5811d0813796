"""First names, for people in pages and stories."""

from __future__ import annotations

from random import Random

NAMES = tuple(
    (
        "Ada Amir Anna Aya Ben Bella Carlos Chloe Dan Daisy Diego Ella Emil Emma Eva Felix Finn Grace Hana Hugo Ida Ines Isla Jack "
        "Jonas Kai Kira Leo Lena Lily Lucy Luis Maja Marco Maya Mia Milo Mina Nina Noah Nora Oscar Otto Pia Rosa Ruby Sam Sara Sofia "
        "Tara Theo Tim Tom Uma Vera Will Yara Yusuf Zoe"
    ).split()
)

#: Words that the names of functions in pages are made of.
VERBS = "pick tidy scan weigh trim gather review study adjust inspect convert reduce collect measure update polish check total".split()
OBJECTS = (
    "orders apples letters shelf basket garden team kitchen library market parcel diary photos tickets coins stamps seeds boats "
    "paints lamps clocks maps cards toys socks shells pens bricks beads chairs"
).split()


def function_name(rng: Random) -> str:
    """A name for a function in a page."""
    return f"{rng.choice(VERBS)}_{rng.choice(OBJECTS)}"
