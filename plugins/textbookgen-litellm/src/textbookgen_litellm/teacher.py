"""The teacher `litellm/chat`: a language model of any provider, called through litellm. Only this module imports litellm."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import Field, PrivateAttr

from textbookgen import Diagnostic, MissingRequirement, Price, Reply, Request, Runtime, TeacherBusy
from textbookgen.api.chat_teacher import ChatTeacher, StructuredOutput
from textbookgen.api.teacher import Finish
from textbookgen_litellm.errors import translate_error
from textbookgen_litellm.model_info import ModelInfo, key_variables, missing_key_variable, model_info, similar_models

_FINISH: dict[str | None, Finish] = {"length": "length", "content_filter": "filter"}
#: Providers whose reasoning models accept no temperature but 1.
_FIXED_TEMPERATURE = ("openai", "azure")


class LiteLLMTeacher(ChatTeacher):
    """Any model that litellm supports, by litellm's name: `openai/gpt-4o-mini`, `anthropic/claude-sonnet-4-5`,
    `gemini/gemini-2.5-flash`, `openrouter/...`, or `openai/NAME` with `api_base` for a self-hosted server.

    API keys are read where litellm looks for them, such as OPENAI_API_KEY, or from the variable in `api_key_env`. Prices are
    litellm's, read offline, unless the recipe sets them.
    """

    name = "chat"

    api_base: Annotated[str | None, Runtime] = Field(
        None, description="address of the server; unset: the provider's own address"
    )
    reasoning_effort: str | None = Field(None, description="effort of a reasoning model, such as low, medium or high")

    _litellm: Any = PrivateAttr(None)
    _info: ModelInfo | None = PrivateAttr(None)

    def info(self) -> ModelInfo:
        """Return what litellm's tables say about the model."""
        if self._info is None:
            self._info = model_info(self.model)
        return self._info

    def price(self) -> Price | None:
        """Return the recipe's price, or else litellm's; an upper bound where reasoning tokens cost more than others."""
        recipe_price = super().price()
        listed = self.info().price
        if recipe_price is not None or listed is None:
            return recipe_price
        return Price(listed.input, max(listed.output, self.info().reasoning_price or 0.0), listed.cached)

    def max_output_tokens(self) -> int | None:
        """Return `max_tokens`, or else the model's own limit."""
        return self.max_tokens or self.info().max_output_tokens

    def output_mode(self) -> StructuredOutput:
        """Return the recipe's mode; `auto` is `schema` where litellm's table says that the model supports it."""
        if self.structured_output == "auto":
            return "schema" if self.info().supports_schema else "instructions"
        return self.structured_output

    def sampling_temperature(self, request: Request) -> float | None:
        """Return the temperature to send; None for a model that accepts none but its own."""
        return None if self._has_fixed_temperature() else super().sampling_temperature(request)

    def _has_fixed_temperature(self) -> bool:
        return self.info().reasoning and self.info().provider in _FIXED_TEMPERATURE

    def mask_secrets(self, text: str) -> str:
        """Mask the provider's keys from the environment, too."""
        for variable in key_variables(self.info().provider or ""):
            if secret := os.environ.get(variable):
                text = text.replace(secret, "***")
        return super().mask_secrets(text)

    def check(self) -> Iterable[Diagnostic]:
        """Yield unknown models, missing keys, and options that the model does not accept."""
        info = self.info()
        if info.provider is None:
            names = ", ".join(similar_models(self.model))
            hint = f"did you mean {names}?" if names else "write PROVIDER/MODEL, such as openai/gpt-4o-mini"
            yield Diagnostic("model", f"litellm knows no model or provider named {self.model!r}", hint)
        elif not self.api_key_env and not self.api_base and (variable := missing_key_variable(info.provider)):
            problem = f"no API key for {info.provider}: the environment variable {variable} is not set"
            yield MissingRequirement("api_key_env", problem, f"export {variable}=..., or set `api_key_env` to another variable")
        if self._has_fixed_temperature() and self.temperature not in (None, 1):
            problem = f"{self.model} is a reasoning model and does not accept a temperature"
            yield Diagnostic("temperature", problem, "remove `temperature`")
        yield from super().check()

    async def complete(self, request: Request) -> Reply:
        """Send the request once; litellm's own retries are off."""
        litellm = self._litellm or await self._import_litellm()
        try:
            response = await litellm.acompletion(**self.arguments(request))
        except Exception as error:
            failure = translate_error(error, self.model, self.mask_secrets)
            raise failure from failure.__cause__  # not from `error`, whose text may contain the key
        return self._reply(response, request)

    async def close(self) -> None:
        """Close litellm's connections."""
        litellm, self._litellm = self._litellm, None
        if litellm is not None:
            await litellm.close_litellm_async_clients()
            litellm.in_memory_llm_clients_cache.flush_cache()

    async def _import_litellm(self) -> Any:
        """Import litellm in a thread, since it takes seconds, with its price table from disk instead of the network."""
        os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")

        def load() -> Any:
            import litellm

            litellm.suppress_debug_info = True  # it would print hints to stdout
            gc.collect()
            gc.freeze()  # without this, scanning the objects of the import takes a tenth of the time of each request
            return litellm

        self._litellm = await asyncio.to_thread(load)
        return self._litellm

    def arguments(self, request: Request) -> dict[str, Any]:
        """Return the arguments of litellm's `acompletion`; no global setting of litellm is used."""
        arguments = self.body(request)
        arguments |= {"num_retries": 0, "max_retries": 0, "timeout": self.timeout}
        if self.reasoning_effort:
            arguments["reasoning_effort"] = self.reasoning_effort
        key = self.api_key()
        if self.api_base:
            arguments["api_base"] = self.api_base
            key = key or "none"  # without a key, litellm would send the provider's key to this server
        if key:
            arguments["api_key"] = key
        if self.headers:
            arguments["extra_headers"] = self.resolved_headers()
        return arguments

    def _reply(self, response: Any, request: Request) -> Reply:
        if not response.choices:
            raise TeacherBusy(f"{self.model}: the response has no choices") from ValueError("no choices")
        choice, usage = response.choices[0], getattr(response, "usage", None)
        text, finish = choice.message.content or "", _FINISH.get(choice.finish_reason, "stop")
        text = text if text.isascii() else text.encode("utf-8", "replace").decode()
        if usage is None:  # counted as by a server that reports none: one token a byte
            size = sum(len(message.content.encode("utf-8", "replace")) for message in request.messages)
            return Reply(text, size, len(text.encode()), self._cost(size, 0, len(text.encode()), 0), finish)
        tokens_in, tokens_out = usage.prompt_tokens or 0, usage.completion_tokens or 0
        cached = _detail(usage, "prompt_tokens_details", "cached_tokens")
        reasoning = _detail(usage, "completion_tokens_details", "reasoning_tokens")
        return Reply(
            text, tokens_in, tokens_out, self._cost(tokens_in, cached, tokens_out, reasoning), finish, cached, reasoning
        )

    def _cost(self, tokens_in: int, cached: int, tokens_out: int, reasoning: int) -> float:
        price = super().price()
        if price is not None:
            return price.cost(tokens_in, tokens_out, cached)
        info = self.info()
        if info.price is None:
            return 0.0
        surcharge = (info.reasoning_price - info.price.output) * reasoning / 1e6 if info.reasoning_price else 0.0
        return info.price.cost(tokens_in, tokens_out, cached) + surcharge


def _detail(usage: Any, group: str, name: str) -> int:
    details = getattr(usage, group, None)
    if isinstance(details, Mapping):
        return int(details.get(name) or 0)
    return int(getattr(details, name, None) or 0)
