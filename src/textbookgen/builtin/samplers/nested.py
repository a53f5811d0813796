"""Samplers inside samplers: created from tables with `use`, by the classes in the validation context."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from textbookgen.api.sampler import Sampler


def create_nested(label: str, table: Mapping[str, Any], context: Mapping[str, Any] | None) -> Sampler:
    """Return the sampler that a table describes.

    Args:
        label: the option that holds the table, for messages.
        table: `use` and the options of the sampler.
        context: the validation context; `samplers` maps names to classes, built-in and of plugins.

    Raises:
        ValueError: there is no context, no such sampler, or its options are wrong.
    """
    if context is None:
        raise ValueError(f'`{label}` needs the known samplers: use model_validate(options, context={{"samplers": ...}})')
    samplers: Mapping[str, type[Sampler]] = context["samplers"]
    use = table.get("use")
    sampler = samplers.get(use) if isinstance(use, str) else None
    if sampler is None:
        raise ValueError(f"`{label}` must have `use`, one of {', '.join(sorted(samplers))} (got {use!r})")
    try:
        return sampler.model_validate({key: value for key, value in table.items() if key != "use"}, context=context)
    except ValidationError as error:
        problems = (f"`{'.'.join(map(str, (label, *item['loc'])))}`: {item['msg']}" for item in error.errors())
        raise ValueError("; ".join(problems)) from error
