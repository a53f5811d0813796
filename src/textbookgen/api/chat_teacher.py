"""ChatTeacher: options and request body of an OpenAI-compatible chat completion, shared by teachers behind such an API."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal
from urllib.parse import quote, quote_plus

from pydantic import Field

from textbookgen.api.annotations import Runtime
from textbookgen.api.errors import Diagnostic, MissingRequirement
from textbookgen.api.teacher import Price, Request, Teacher

#: How replies with a JSON schema are requested.
StructuredOutput = Literal["schema", "json", "instructions"]

_JSON_INSTRUCTIONS = "\n\nReply with a single JSON document that satisfies this JSON schema. Output nothing else:\n"
_ENVIRONMENT_PREFIX = "env:"
#: Names of variables are in capitals by convention, and keys are not, so that a key in the wrong place is not shown.
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]{0,60}")


class ChatTeacher(Teacher):
    """A language model behind a chat API. The model and its sampling options identify it; addresses, keys and prices do not."""

    model: str = Field(description="model name, as the server knows it")
    revision: str | None = Field(
        None,
        description="what distinguishes models that servers offer under the same name, such as a weights file; part of the key "
        "under which replies are stored, as `api_base` is not",
    )
    temperature: float | None = Field(
        None, ge=0, description="sampling temperature, unless a stage sets its own; unset: the server's default"
    )
    top_p: float | None = Field(None, gt=0, le=1, description="nucleus sampling: cumulative probability of the tokens kept")
    max_tokens: int | None = Field(None, gt=0, description="maximum number of tokens of a reply; required for a budget")
    stop: tuple[str, ...] = Field((), description="texts at which a reply ends")
    extra: dict[str, Any] = Field(default_factory=dict, description="further fields of the request body, sent as they are")
    structured_output: Literal["auto"] | StructuredOutput = Field(
        "auto",
        description="how replies with a JSON schema are requested: `schema` sends it as `response_format`, `json` turns on "
        "JSON mode and adds the schema to the prompt, `instructions` only adds it to the prompt; `auto` uses `schema` where "
        "the model is known to support it",
    )

    api_key_env: Annotated[str | None, Runtime] = Field(None, description="environment variable with the API key")
    headers: Annotated[dict[str, str], Runtime] = Field(
        default_factory=dict, description="further HTTP headers; `env:NAME` as a value reads that environment variable"
    )
    timeout: Annotated[float | None, Runtime] = Field(
        600.0, gt=0, description="seconds to wait for a reply before the request is retried"
    )
    price_in: Annotated[float | None, Runtime] = Field(None, ge=0, description="US dollars per million prompt tokens")
    price_out: Annotated[float | None, Runtime] = Field(None, ge=0, description="US dollars per million reply tokens")
    price_cached: Annotated[float | None, Runtime] = Field(
        None, ge=0, description="US dollars per million prompt tokens found in the provider's cache; unset: `price_in`"
    )

    def price(self) -> Price | None:
        """Return the price set in the recipe."""
        if self.price_in is None or self.price_out is None:
            return None
        return Price(self.price_in, self.price_out, self.price_cached)

    def max_output_tokens(self) -> int | None:
        """Return `max_tokens`, which the server enforces."""
        return self.max_tokens

    def check(self) -> Iterable[Diagnostic]:
        """Yield unset environment variables, and what is missing to enforce a budget."""
        if self.api_key_env and self.api_key_env not in os.environ and not _VARIABLE.fullmatch(self.api_key_env):
            problem = "this names no environment variable (the value is not shown, since it may be a key)"
            yield Diagnostic("api_key_env", problem, 'export OPENAI_API_KEY=..., and write api_key_env = "OPENAI_API_KEY"')
        elif self.api_key_env and not os.environ.get(self.api_key_env):
            yield MissingRequirement(
                "api_key_env", f"the environment variable {self.api_key_env} is not set", f"export {self.api_key_env}=..."
            )
        for header, value in self.headers.items():
            variable = value.removeprefix(_ENVIRONMENT_PREFIX)
            if variable != value and not os.environ.get(variable):
                yield MissingRequirement(
                    "headers", f"{header}: the environment variable {variable} is not set", f"export {variable}=..."
                )
        if self.budget_usd is not None:
            yield from self._check_budget()

    def _check_budget(self) -> Iterable[Diagnostic]:
        price = self.price()
        if price is None:
            hint = "set `price_in` and `price_out`, in US dollars per million tokens"
            yield Diagnostic("budget_usd", f"cannot enforce the budget: the price of {self.model} is unknown", hint)
        elif self.max_output_tokens() is None and price.output:
            yield Diagnostic("budget_usd", "cannot enforce the budget: replies have no maximum length", "set `max_tokens`")

    def api_key(self) -> str | None:
        """Return the API key from the environment, read at the time of the call."""
        return os.environ.get(self.api_key_env) if self.api_key_env else None

    def resolved_headers(self) -> dict[str, str]:
        """Return the recipe's headers with `env:NAME` values read from the environment."""
        return {header: _resolve(value) for header, value in self.headers.items()}

    def mask_secrets(self, text: str) -> str:
        """Mask the API key and the header values from the environment, also as JSON and addresses spell them."""
        secrets = [_resolve(value) for value in self.headers.values() if value.startswith(_ENVIRONMENT_PREFIX)]
        for secret in filter(None, (self.api_key(), *secrets)):
            for spelling in sorted({secret, json.dumps(secret)[1:-1], quote(secret, safe=""), quote_plus(secret)}, key=len)[
                ::-1
            ]:
                text = text.replace(spelling, "***")
        return text

    def body(self, request: Request) -> dict[str, Any]:
        """Return the JSON body of the request, as the OpenAI chat API defines it."""
        messages = [{"role": message.role, "content": message.content} for message in request.messages]
        sampling = {
            "temperature": self.sampling_temperature(request),
            "top_p": self.top_p,
            "max_tokens": self.max_tokens,
            "stop": self.stop or None,
        }
        body: dict[str, Any] = {"model": self.model, "messages": messages}
        body |= {name: value for name, value in sampling.items() if value is not None}
        if request.schema is not None:
            body |= self._require_json(messages, request.schema)
        return body | self.extra

    def sampling_temperature(self, request: Request) -> float | None:
        """Return the temperature to send: the request's, or else the teacher's; None leaves it to the server."""
        return self.temperature if request.temperature is None else request.temperature

    def output_mode(self) -> StructuredOutput:
        """Return how replies with a JSON schema are requested; subclasses resolve `auto` by model."""
        return "schema" if self.structured_output == "auto" else self.structured_output

    def _require_json(self, messages: list[dict[str, str]], schema: Mapping[str, Any]) -> dict[str, Any]:
        """Return the body's fields that require JSON, and add instructions to the last message where the mode needs them."""
        mode = self.output_mode()
        if mode == "schema":
            json_schema = {"name": "reply", "schema": dict(schema), "strict": supports_strict_mode(schema)}
            return {"response_format": {"type": "json_schema", "json_schema": json_schema}}
        messages[-1]["content"] += _JSON_INSTRUCTIONS + json.dumps(schema)
        return {"response_format": {"type": "json_object"}} if mode == "json" else {}


def _resolve(value: str) -> str:
    variable = value.removeprefix(_ENVIRONMENT_PREFIX)
    return value if variable == value else os.environ.get(variable, "")


def supports_strict_mode(schema: Any) -> bool:
    """Return whether OpenAI's strict mode accepts a schema: all objects closed, and all their properties required.

    See https://platform.openai.com/docs/guides/structured-outputs.
    """
    if isinstance(schema, list | tuple):
        return all(supports_strict_mode(item) for item in schema)
    if not isinstance(schema, Mapping):
        return True
    if "properties" in schema:
        complete = set(schema.get("required", ())) == set(schema["properties"])
        if not complete or schema.get("additionalProperties") is not False:
            return False
    return all(supports_strict_mode(item) for item in schema.values())
