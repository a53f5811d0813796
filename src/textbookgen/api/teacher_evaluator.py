"""TeacherEvaluator: an evaluator that asks teachers, as models to be scored or as judges.

Its requests are sent as those of a generator are: through the ledger, within each teacher's rate limits and budget, and as part
of the estimate of `recipe check`. The teachers are those that its options with `Label("teacher")` name, one or several.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from textbookgen.api.annotations import Runtime
from textbookgen.api.stage import Estimate, Evaluator, Resolver


class TeacherEvaluator(Evaluator):
    """Measures with teachers. `StageInputs.teachers` has a client for each of them, and `StageInputs.render` the templates."""

    reply_tokens: Annotated[int, Runtime] = Field(200, gt=0, description="tokens per reply that `recipe check` should assume")
    max_cost_usd: Annotated[float | None, Runtime] = Field(
        None, ge=0, description="maximum cost of each teacher in this step in US dollars, never exceeded"
    )

    def estimate_requests(self, inputs: Mapping[str, Estimate], resolver: Resolver) -> Mapping[str, Estimate]:
        """Return the requests, prompt tokens and reply tokens that each teacher is expected to get, by its label.

        Args:
            inputs: as for `Stage.estimate`.
            resolver: opens benchmarks, whose items are counted.
        """
        raise NotImplementedError

    def template_variables(self, option: str) -> Mapping[str, Any] | None:
        """Return the variables that a template of this option is rendered with, for `recipe check`.

        Args:
            option: the name of the field that names the template.

        Returns:
            Example values by name; None if they are not known, so that the template is not checked for them.
        """
        return None
