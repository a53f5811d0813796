"""What keeps the writing various: grids, weights, words, taxonomies, lines, products, and openings that are worn out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from math import prod
from pathlib import Path
from random import Random
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, PrivateAttr, ValidationError, model_validator

from textbookgen.api.artifacts import Artifact
from textbookgen.api.errors import RunError
from textbookgen.api.sampler import KNOWN, AcceptedStats, Grid, Sampler
from textbookgen.builtin.samplers.constrained_grid import ConstrainedGrid
from textbookgen.builtin.samplers.coverage import LeastCoveredSampler, UncoveredSampler, worn_out
from textbookgen.builtin.samplers.fields import Fields, Never, Values, digest, walk
from textbookgen.builtin.samplers.passages import Passages


def _leaves(tree: Any, above: str = "") -> tuple[str, ...]:
    """The paths of all leaves of nested tables and lists, such as "mathematics/algebra/groups"."""
    if isinstance(tree, Mapping):
        return tuple(leaf for name, below in tree.items() for leaf in _leaves(below, f"{above}{name}/"))
    if isinstance(tree, list | tuple):
        return tuple(leaf for below in tree for leaf in _leaves(below, above))
    return ("/".join(name.strip() for name in f"{above}{tree}".split("/") if name.strip()),)


#: How often `product` draws again what its rules forbid.
_TURNS = 1_000

Weights = dict[str, Annotated[float, Field(ge=0)]]
#: So many, or between so many and so many.
Count = int | tuple[int, int]


class GridSampler(Fields):
    """Every combination of its fields' values once, in a mixed order, before any comes again (in another order).

    Each further key is a field: a list of values, or a value that is always the same. Combination `n` is found without
    listing the ones before it, so a grid of billions costs no more than one of ten.
    """

    name: ClassVar[str] = "grid"
    __pydantic_extra__: dict[str, Values]

    never: Never = ()
    seed: int = Field(0, description="another seed walks the combinations in another order")
    _salt: str = PrivateAttr()
    _cells: ConstrainedGrid = PrivateAttr()

    def model_post_init(self, context: Any) -> None:
        """Two grids of different values walk in orders of their own, so that they can be drawn from together."""
        self._salt = digest(self.seed, *self.fields.items())
        self._cells = ConstrainedGrid(self.fields, self.never)

    @property
    def cells(self) -> int:
        """How many combinations there are."""
        return len(self._cells)

    def draw(self, n: int, rng: Random, seen: AcceptedStats) -> dict[str, Any]:
        """Cell `n` of the mixed order, with the value of each field."""
        return self._cells[walk(n, self.cells, self._salt)]

    def grid(self) -> Grid:
        """Every combination that is allowed."""
        return Grid(tuple(name for name, values in self.fields.items() if len(values) > 1), self.cells)


class WeightedSampler(Fields):
    """A value for each field, some oftener than others.

    Each further key is a field: a table of values and their weights (`tone = { plain = 3, funny = 1 }`), or a list, whose
    values weigh the same.
    """

    name: ClassVar[str] = "weighted"
    __pydantic_extra__: dict[str, Weights | Values]

    @model_validator(mode="after")
    def _weigh_something(self) -> WeightedSampler:
        for name, values in self.fields.items():
            if isinstance(values, dict) and not sum(values.values()) > 0:
                raise ValueError(f"the weights of `{name}` must not all be 0")
        return self

    def draw(self, n: int, rng: Random, seen: AcceptedStats) -> dict[str, Any]:
        """A value for each field, drawn by weight."""
        return {name: _weighted(values, rng) for name, values in self.fields.items()}


class WordsSampler(Fields):
    """Some words from each of several lists, no two of one list the same.

    Each further key is a field with a list. With `k = 1` a field is one word; otherwise it is a list of words. TinyStories
    (arXiv 2305.07759) asks for a noun, a verb and an adjective in every story, and for some of several features.
    """

    name: ClassVar[str] = "words"
    __pydantic_extra__: dict[str, Values]

    k: Count | dict[str, Count] = Field(
        1,
        description="how many words are drawn of each list: a number, two numbers (between so many and so many), "
        "or a table of these by field, such as { features = [0, 3] }",
    )

    @model_validator(mode="after")
    def _enough_words(self) -> WordsSampler:
        if isinstance(self.k, dict) and (unknown := sorted(self.k.keys() - self.fields.keys())):
            raise ValueError(f"`k` says how many of '{unknown[0]}', but there is no such list")
        for name, words in self.fields.items():
            least, most = self._range(name)
            if not 0 <= least <= most <= len(words):
                raise ValueError(f"cannot draw between {least} and {most} of the {len(words)} words of `{name}`")
        return self

    def draw(self, n: int, rng: Random, seen: AcceptedStats) -> dict[str, Any]:
        """For each field a word, or a list of words in the order they were drawn."""
        drawn: dict[str, Any] = {}
        for name, words in self.fields.items():
            least, most = self._range(name)
            some = rng.sample(words, rng.randint(least, most))
            drawn[name] = some[0] if (least, most) == (1, 1) else some
        return drawn

    def _range(self, name: str) -> tuple[int, int]:
        k = self.k.get(name, 1) if isinstance(self.k, dict) else self.k
        return (k, k) if isinstance(k, int) else k


class TaxonomySampler(Sampler):
    """A leaf of a tree of topics, and what stands above it: disciplines, their subjects, the subjects' lessons.

    phi-1.5 (arXiv 2309.05463) starts from some 20,000 topics chosen so that the corpus covers what it should.
    """

    name: ClassVar[str] = "taxonomy"

    tree: Annotated[tuple[str, ...], BeforeValidator(_leaves)] = Field(
        min_length=1, description='paths such as "mathematics/algebra/groups" (a list, or "@topics.txt"), or nested tables'
    )
    levels: tuple[str, ...] = Field(
        (),
        description='what prompts call the levels from the top: ["discipline", "subject"]; `topic` and `path` are always there',
    )
    balance: Literal["leaves", "branches"] = Field(
        "leaves",
        description="`leaves` walks every leaf once before any comes again; `branches` gives each branch the same chance",
    )
    seed: int = Field(0, description="another seed walks the leaves in another order")

    _paths: list[tuple[str, ...]] = PrivateAttr()

    @model_validator(mode="after")
    def _deep_enough(self) -> TaxonomySampler:
        self._paths = [tuple(path.split("/")) for path in self.tree]
        for path in self._paths:
            if not path[-1] or len(path) < len(self.levels):
                raise ValueError(f"'{'/'.join(path)}' has {len(path)} levels, and `levels` names {len(self.levels)}")
        return self

    def draw(self, n: int, rng: Random, seen: AcceptedStats) -> dict[str, Any]:
        """`topic` (the leaf), `path` (all levels), and each named level."""
        if self.balance == "branches":
            path = self._branch(rng)
        else:
            path = self._paths[walk(n, len(self._paths), f"{self.levels}/{self.seed}")]
        return {**dict(zip(self.levels, path, strict=False)), "topic": path[-1], "path": "/".join(path)}

    def _branch(self, rng: Random) -> tuple[str, ...]:
        """Down from the top, one branch after the other; a topic that has topics below it is a branch beside them."""
        below, depth = self._paths, 0
        while len(below) > 1:
            branches = list(dict.fromkeys(path[depth : depth + 1] for path in below))
            branch = rng.choice(branches)
            below = [path for path in below if path[depth : depth + 1] == branch]
            if not branch:
                break
            depth += 1
        return below[0]


class LinesSampler(Sampler):
    """A line of a list, such as a persona, or a passage as a source of noise: each once before any comes again."""

    name: ClassVar[str] = "lines"

    lines: Values = Field(description='the lines: a list, or "@personas.txt"')
    field: str = Field("line", description="what prompts call the line")
    words: int | None = Field(None, gt=0, description="take at most so many words of a line, from a place in it that is drawn")
    seed: int = Field(0, description="another seed walks the lines in another order")

    def draw(self, n: int, rng: Random, seen: AcceptedStats) -> dict[str, Any]:
        """One line, or a stretch of it."""
        line = self.lines[walk(n, len(self.lines), f"{self.field}/{self.seed}")]
        words = str(line).split()
        if self.words is None or len(words) <= self.words:
            return {self.field: line}
        start = rng.randint(0, len(words) - self.words)
        return {self.field: " ".join(words[start : start + self.words])}


class ProductSampler(Fields):
    """The values of several samplers together: each further key is a table with `use` and that sampler's options.

    The tables' names are only for the reader. Samplers that look at what was written go around this one, not into it.
    """

    name: ClassVar[str] = "product"
    __pydantic_extra__: dict[str, dict[str, Any]]

    never: tuple[dict[str, Any], ...] = Field(
        (),
        description="values of different samplers that do not go together, each a table of what is drawn and a value or a list "
        'of values: never = [{ audience = "child", persona = ["a tax lawyer"] }]; such a draw is drawn again',
    )
    _parts: dict[str, Sampler] = PrivateAttr()

    @model_validator(mode="after")
    def _open(self) -> ProductSampler:
        self._parts = {name: _inner(name, table) for name, table in self.fields.items()}
        for name, part in self._parts.items():
            if part.adapts:
                raise ValueError(f"`{name}`: '{part.name}' looks at what was written; let it stand around this sampler")
        return self

    def draw(self, n: int, rng: Random, seen: AcceptedStats) -> dict[str, Any]:
        """What each part draws; where two draw the same name, the later one's value stays."""
        for turn in range(_TURNS):
            drawn = self._drawn(n if not turn else rng.getrandbits(40), rng, seen)
            if not any(_applies(rule, drawn) for rule in self.never):
                return drawn
        raise RunError(f"`never` forbade {_TURNS} draws in a row", hint="there may be nothing left that it allows")

    def _drawn(self, n: int, rng: Random, seen: AcceptedStats) -> dict[str, Any]:
        drawn: dict[str, Any] = {}
        for part in self._parts.values():
            drawn |= part.draw(n, Random(rng.getrandbits(64)), seen)
        return drawn

    def grid(self) -> Grid | None:
        """Every combination of what the parts can cover; None with rules of its own (a grid's can be counted)."""
        grounds = [grid for part in self._parts.values() if (grid := part.grid()) is not None]
        if not grounds or self.never:
            return None
        return Grid(tuple(name for item in grounds for name in item.fields), prod(item.cells for item in grounds))

    def reads(self) -> tuple[str, ...]:
        """What its parts read."""
        return tuple(dict.fromkeys(label for part in self._parts.values() for label in part.reads()))

    def prepare(self, inputs: Mapping[str, Artifact], folder: Path) -> None:
        """Lets its parts prepare."""
        for part in self._parts.values():
            part.prepare(inputs, folder)


class FreshOpeningsSampler(Sampler):
    """Draws as another sampler does, and adds `avoid_openings`: how too many texts began already, for the prompt to forbid.

    59 % of TinyStories begin with the same four words (arXiv 2504.09184); this keeps a corpus from it while it is written.
    """

    name: ClassVar[str] = "fresh-openings"
    adapts: ClassVar[bool] = True

    of: dict[str, Any] = Field(description="the sampler that draws everything else: a table with `use` and its options")
    share: float = Field(
        0.01, gt=0, le=1, description="an opening (five words) is worn out when more than this share of texts has it"
    )
    most: int = Field(5, gt=0, description="name at most so many worn-out openings, the most frequent ones")
    _inner: Sampler = PrivateAttr()

    @model_validator(mode="after")
    def _open(self) -> FreshOpeningsSampler:
        self._inner = _inner("of", self.of)
        return self

    def draw(self, n: int, rng: Random, seen: AcceptedStats) -> dict[str, Any]:
        """The other sampler's values and `avoid_openings`, most frequent first; it is empty while none is worn out."""
        worn = seen.cached(("worn out", self.share), lambda: worn_out(seen, self.share))
        return {**self._inner.draw(n, rng, seen), "avoid_openings": worn[: self.most]}

    def grid(self) -> Grid | None:
        """What the other sampler covers."""
        return self._inner.grid()

    def reads(self) -> tuple[str, ...]:
        """What the other sampler reads."""
        return self._inner.reads()

    def prepare(self, inputs: Mapping[str, Artifact], folder: Path) -> None:
        """Lets the other sampler prepare."""
        self._inner.prepare(inputs, folder)


def _inner(label: str, table: Mapping[str, Any]) -> Sampler:
    """A sampler inside another: of this room, or of any plugin where a recipe is planned.

    Raises:
        ValueError: there is no such sampler, or its options are wrong.
    """
    result = {item.name: item for item in BUILT_IN} | dict(KNOWN.get({}))
    use = table.get("use")
    if use not in result:
        raise ValueError(f"`{label}` must have `use`, one of {', '.join(sorted(result))} (got {use!r})")
    try:
        return result[use](**{key: value for key, value in table.items() if key != "use"})
    except ValidationError as error:
        problems = (f"`{'.'.join(map(str, (label, *item['loc'])))}`: {item['msg']}" for item in error.errors())
        raise ValueError("; ".join(problems)) from error


def _applies(rule: Mapping[str, Any], drawn: Mapping[str, Any]) -> bool:
    """Whether each field of a rule was drawn with one of its values (one of them, where a list was drawn)."""
    for name, wanted in rule.items():
        values = drawn.get(name)
        listed = wanted if isinstance(wanted, list | tuple) else [wanted]
        if not any(item in listed for item in (values if isinstance(values, list | tuple) else [values])):
            return False
    return True


def _weighted(values: Mapping[str, float] | Sequence[Any], rng: Random) -> Any:
    if not isinstance(values, Mapping):
        return rng.choice(values)
    return rng.choices(list(values), cum_weights=list(accumulate(values.values())))[0]


#: The samplers that are always there.
BUILT_IN: tuple[type[Sampler], ...] = (
    GridSampler,
    WeightedSampler,
    WordsSampler,
    TaxonomySampler,
    LinesSampler,
    Passages,
    ProductSampler,
    LeastCoveredSampler,
    UncoveredSampler,
    FreshOpeningsSampler,
)
