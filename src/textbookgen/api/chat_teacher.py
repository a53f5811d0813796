"""ChatTeacher: the options and the body of a chat completion, as all who speak OpenAI's API understand it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from textbookgen.api.annotations import Runtime
from textbookgen.api.errors import Diagnostic, MissingRequirement
from textbookgen.api.teacher import Price, Request, Teacher

Form = Literal["schema", "json", "instructions"]

_AS_JSON = "\n\nReply with JSON that satisfies this JSON schema, and with nothing else:\n"
_FROM_ENVIRONMENT = "env:"


class ChatTeacher(Teacher):
    """A language model behind a chat API. Its model and its sampling are what it is; addresses, keys and prices are not."""

    model: str = Field(description="name of the model, as the server knows it")
    temperature: float | None = Field(None, ge=0, description="sampling temperature; the server's own unless given")
    top_p: float | None = Field(None, gt=0, le=1, description="sample only from the likeliest tokens that make up this much")
    max_tokens: int | None = Field(None, gt=0, description="most tokens of one reply; needed for a budget")
    stop: tuple[str, ...] = Field((), description="texts at which a reply ends")
    extra: dict[str, Any] = Field(default_factory=dict, description="further fields of the request, sent as they are")
    structured: Literal["auto"] | Form = Field(
        "auto",
        description="how a reply of a given form is asked for: by its JSON schema, by JSON mode with the schema in the "
        "prompt, or by the prompt (instructions) alone; auto is by schema where that is known to work",
    )

    api_key_env: Annotated[str | None, Runtime] = Field(None, description="environment variable that holds the API key")
    headers: Annotated[dict[str, str], Runtime] = Field(
        default_factory=dict, description="further HTTP headers; a value `env:NAME` is read from that environment variable"
    )
    time_limit: Annotated[float, Runtime] = Field(600.0, gt=0, description="seconds after which a request is given up")
    retries: Annotated[int, Runtime] = Field(6, ge=0, description="how often a request that failed in passing is sent again")
    repairs: Annotated[int, Runtime] = Field(
        2, ge=0, description="how often a reply that is not of the form asked for is sent back with the complaint"
    )
    price_in: Annotated[float | None, Runtime] = Field(None, ge=0, description="US dollars for a million prompt tokens")
    price_out: Annotated[float | None, Runtime] = Field(None, ge=0, description="US dollars for a million tokens of replies")
    price_cached: Annotated[float | None, Runtime] = Field(
        None, ge=0, description="US dollars for a million prompt tokens that the provider had in its cache"
    )

    def price(self) -> Price | None:
        """The price that the recipe gives."""
        if self.price_in is None or self.price_out is None:
            return None
        return Price(self.price_in, self.price_out, self.price_cached)

    def max_output_tokens(self) -> int | None:
        """`max_tokens`, which the server keeps to."""
        return self.max_tokens

    def check(self) -> Iterable[Diagnostic]:
        """Complains of variables that are not set, and of a budget that could not be kept."""
        if self.api_key_env and not os.environ.get(self.api_key_env):
            yield MissingRequirement(
                "api_key_env", f"the environment variable {self.api_key_env} is not set", f"export {self.api_key_env}=..."
            )
        for header, value in self.headers.items():
            variable = value.removeprefix(_FROM_ENVIRONMENT)
            if variable != value and not os.environ.get(variable):
                yield MissingRequirement(
                    "headers", f"{header}: the environment variable {variable} is not set", f"export {variable}=..."
                )
        if self.budget_usd is not None:
            yield from self._check_budget()

    def _check_budget(self) -> Iterable[Diagnostic]:
        price = self.price()
        if price is None:
            hint = "give `price_in` and `price_out`, in US dollars for a million tokens"
            yield Diagnostic("budget_usd", f"the price of {self.model} is not known, so no budget can be kept", hint)
        elif self.max_output_tokens() is None and price.output:
            yield Diagnostic("budget_usd", "nothing bounds the length of a reply, so no budget can be kept", "set `max_tokens`")

    def key(self) -> str | None:
        """The API key, read from the environment now."""
        return os.environ.get(self.api_key_env) if self.api_key_env else None

    def sent_headers(self) -> dict[str, str]:
        """The headers that the recipe gives, with values from the environment filled in."""
        return {header: _filled(value) for header, value in self.headers.items()}

    def body(self, request: Request) -> dict[str, Any]:
        """The fields of the request, in OpenAI's terms."""
        messages = [{"role": turn.role, "content": turn.content} for turn in request.messages]
        sampling = {
            "temperature": self.temperature,
            "top_p": self.top_p,
            "max_tokens": self.max_tokens,
            "stop": self.stop or None,
        }
        body: dict[str, Any] = {"model": self.model, "messages": messages}
        body |= {name: value for name, value in sampling.items() if value is not None}
        if request.schema is not None:
            body |= self.response_format(messages, request.schema)
        return body | self.extra

    def form(self) -> Form:
        """How a reply of a given form is asked for."""
        return "schema" if self.structured == "auto" else self.structured

    def response_format(self, messages: list[dict[str, str]], schema: Mapping[str, Any]) -> dict[str, Any]:
        """Asks for a reply of this form: with a field of the request, or with words at the end of the last message."""
        how = self.form()
        if how == "schema":
            form = {"name": "reply", "schema": dict(schema), "strict": _is_strict(schema)}
            return {"response_format": {"type": "json_schema", "json_schema": form}}
        messages[-1]["content"] += _AS_JSON + json.dumps(schema)
        return {"response_format": {"type": "json_object"}} if how == "json" else {}


def _filled(value: str) -> str:
    variable = value.removeprefix(_FROM_ENVIRONMENT)
    return value if variable == value else os.environ.get(variable, "")


def _is_strict(schema: Any) -> bool:
    """Whether all objects of a schema are closed and whole, as OpenAI wants of schemas that it enforces."""
    if isinstance(schema, list | tuple):
        return all(_is_strict(item) for item in schema)
    if not isinstance(schema, Mapping):
        return True
    if "properties" in schema:
        whole = set(schema.get("required", ())) == set(schema["properties"])
        if not whole or schema.get("additionalProperties") is not False:
            return False
    return all(_is_strict(item) for item in schema.values())
