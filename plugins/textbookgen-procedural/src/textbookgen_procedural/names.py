"""First names, for people in pages and stories."""

from __future__ import annotations

from random import Random

GIRLS = tuple(
    (
        "Ada Amy Anna Aya Bella Chloe Daisy Ella Emma Eva Flora Grace Hana Ida Ines Isla Iris Jane Julia Kate Kira Lena Lily Lisa Lucy "
        "Maja Maya Mia Mina Molly Nina Nora Pia Rosa Ruby Sally Sara Sofia Stella Tara Tina Uma Vera Violet Yara Zoe"
    ).split()
)
BOYS = tuple(
    (
        "Adam Alex Amir Andy Ben Carlos Charlie Dan Diego Emil Felix Finn Frank George Henry Hugo Jack Jake Jim Jonas Josh Kai Leo Luis "
        "Marco Max Milo Noah Oscar Otto Paul Peter Ravi Sam Ted Theo Tim Toby Tom Victor Will Yusuf Zack"
    ).split()
)
NAMES = GIRLS + BOYS

#: Words that the names of functions in pages are made of.
VERBS = "pick tidy scan weigh trim gather review study adjust inspect convert reduce collect measure update polish check total".split()
OBJECTS = (
    "orders apples letters shelf basket garden team kitchen library market parcel diary photos tickets coins stamps seeds boats "
    "paints lamps clocks maps cards toys socks shells pens bricks beads chairs"
).split()


def function_name(rng: Random) -> str:
    """A name for a function in a page."""
    return f"{rng.choice(VERBS)}_{rng.choice(OBJECTS)}"
