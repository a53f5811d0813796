"""The sampler `taxonomy`: a leaf of a tree of topics."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, PrivateAttr, model_validator

from textbookgen.api.sampler import AcceptedStats, Sampler
from textbookgen.builtin.samplers.fields import walk


def _leaves(tree: Any, parent: str = "") -> tuple[str, ...]:
    """Return the paths of all leaves of nested tables and lists, such as "mathematics/algebra/groups"."""
    if isinstance(tree, Mapping):
        return tuple(leaf for name, children in tree.items() for leaf in _leaves(children, f"{parent}{name}/"))
    if isinstance(tree, list | tuple):
        return tuple(leaf for children in tree for leaf in _leaves(children, parent))
    return ("/".join(name.strip() for name in f"{parent}{tree}".split("/") if name.strip()),)


class TaxonomySampler(Sampler):
    """Draws a leaf of a tree of topics, with the topics above it: discipline, subject, lesson.

    phi-1.5 (arXiv 2309.05463) starts from about 20,000 topics that were selected to cover the intended knowledge.
    """

    name: ClassVar[str] = "taxonomy"

    tree: Annotated[tuple[str, ...], BeforeValidator(_leaves)] = Field(
        min_length=1, description='paths such as "mathematics/algebra/groups" (a list, or "@topics.txt"), or nested tables'
    )
    levels: tuple[str, ...] = Field(
        (),
        description='variable names of the levels, from the top: ["discipline", "subject"]; `topic` and `path` are always set',
    )
    balance: Literal["leaves", "branches"] = Field(
        "leaves",
        description="`leaves` draws every leaf once before drawing any again; `branches` chooses among the branches of each "
        "level with equal probability",
    )
    seed: int = Field(0, description="another seed gives another order of the leaves")

    _paths: list[tuple[str, ...]] = PrivateAttr()

    @model_validator(mode="after")
    def _has_enough_levels(self) -> TaxonomySampler:
        self._paths = [tuple(path.split("/")) for path in self.tree]
        for path in self._paths:
            if not path[-1] or len(path) < len(self.levels):
                raise ValueError(f"'{'/'.join(path)}' has {len(path)} levels, and `levels` names {len(self.levels)}")
        return self

    def draw(self, n: int, rng: Random, stats: AcceptedStats) -> dict[str, Any]:
        """Return `topic` (the leaf), `path` (all levels), and each named level."""
        if self.balance == "branches":
            path = self._descend(rng)
        else:
            path = self._paths[walk(n, len(self._paths), f"{self.levels}/{self.seed}")]
        return {**dict(zip(self.levels, path, strict=False)), "topic": path[-1], "path": "/".join(path)}

    def _descend(self, rng: Random) -> tuple[str, ...]:
        """Choose a branch at each level; a topic that is listed besides its subtopics counts as a branch of its level."""
        candidates, depth = self._paths, 0
        while len(candidates) > 1:
            branches = list(dict.fromkeys(path[depth : depth + 1] for path in candidates))
            branch = rng.choice(branches)
            candidates = [path for path in candidates if path[depth : depth + 1] == branch]
            if not branch:
                break
            depth += 1
        return candidates[0]
