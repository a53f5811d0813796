"""The teacher `chat`: a language model of any provider, asked through litellm. The one place that imports it."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import Field, PrivateAttr

from textbookgen import Diagnostic, MissingRequirement, Price, Reply, Request, Runtime, TeacherBusy
from textbookgen.api.chat_teacher import ChatTeacher, Form
from textbookgen.api.teacher import Finish
from textbookgen_litellm.failures import turned
from textbookgen_litellm.table import Facts, facts, missing_key, similar

_FINISH: dict[str | None, Finish] = {"length": "length", "content_filter": "filter"}
#: OpenAI's models that think take no temperature but 1; other providers' do.
_THEIR_OWN_TEMPERATURE = ("openai", "azure")


class Chat(ChatTeacher):
    """Any model that litellm knows, by the name that litellm gives it: `openai/gpt-4o-mini`, `anthropic/claude-sonnet-4-5`,
    `gemini/gemini-2.5-flash`, `openrouter/...`, or `openai/NAME` with `api_base` for a server of one's own.

    Keys are where litellm looks for them, such as OPENAI_API_KEY, or in the variable that `api_key_env` names. Prices
    are those of litellm's own table, read offline, or of the recipe.
    """

    name = "chat"

    api_base: Annotated[str | None, Runtime] = Field(
        None, description="address of the server, where it is not the provider's own"
    )
    reasoning_effort: str | None = Field(None, description="how long a model that thinks should think: low, medium, high")

    _awake: Any = PrivateAttr(None)
    _facts: Facts | None = PrivateAttr(None)

    def known(self) -> Facts:
        """What litellm's tables say of the model."""
        if self._facts is None:
            self._facts = facts(self.model)
        return self._facts

    def price(self) -> Price | None:
        """The recipe's price, or else that of litellm's table; where thought costs more than words, words count as thought."""
        given = super().price()
        known = self.known().price
        if given is not None or known is None:
            return given
        return Price(known.input, max(known.output, self.known().reasoning_price or 0.0), known.cached)

    def max_output_tokens(self) -> int | None:
        """`max_tokens`, or else the most that the model can write."""
        return self.max_tokens or self.known().max_output_tokens

    def form(self) -> Form:
        """By schema where litellm's table says that the model takes one."""
        if self.structured == "auto":
            return "schema" if self.known().takes_schema else "instructions"
        return self.structured

    def check(self) -> Iterable[Diagnostic]:
        """Complains of models that nobody serves, of keys that are not set, and of options that the model does not take."""
        known = self.known()
        if known.provider is None:
            names = ", ".join(similar(self.model))
            hint = f"there is {names}" if names else "write PROVIDER/MODEL, as in openai/gpt-4o-mini"
            yield Diagnostic("model", f"litellm knows no model or provider called {self.model!r}", hint)
        elif not self.api_key_env and not self.api_base and (variable := missing_key(known.provider)):
            problem = f"no key for {known.provider}: the environment variable {variable} is not set"
            yield MissingRequirement(
                "api_key_env", problem, f"export {variable}=..., or name another variable with `api_key_env`"
            )
        if known.reasons and known.provider in _THEIR_OWN_TEMPERATURE and self.temperature not in (None, 1):
            yield Diagnostic("temperature", f"{self.model} thinks before it writes, and takes no temperature", "leave it out")
        yield from super().check()

    async def complete(self, request: Request) -> Reply:
        """Asks once; litellm's own retries are off."""
        litellm = self._awake or await self._wake()
        key = self.key()
        try:
            answer = await litellm.acompletion(**self.sent(request, key))
        except Exception as error:
            failure = turned(error, self.model, key)
            raise failure from failure.__cause__  # not from `error`, whose text may hold the key
        return self._reply(answer)

    async def close(self) -> None:
        """Lets go of litellm's connections."""
        litellm, self._awake = self._awake, None
        if litellm is not None:
            await litellm.close_litellm_async_clients()
            litellm.in_memory_llm_clients_cache.flush_cache()

    async def _wake(self) -> Any:
        """Imports litellm, in a thread since it takes seconds, and with its table of prices from the disk, not the network."""
        os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")

        def wake() -> Any:
            import litellm

            litellm.suppress_debug_info = True  # or it prints advertisements to stdout, which belongs to results
            gc.collect()
            gc.freeze()  # what the import left stays for good; to look it through again and again costs a tenth of each request
            return litellm

        self._awake = await asyncio.to_thread(wake)
        return self._awake

    def sent(self, request: Request, key: str | None) -> dict[str, Any]:
        """The arguments of litellm's `acompletion`: all that it is to know of this call, since nothing is set on the module."""
        sent = self.body(request)
        sent |= {"num_retries": 0, "max_retries": 0, "timeout": self.time_limit}
        if self.reasoning_effort:
            sent["reasoning_effort"] = self.reasoning_effort
        if self.api_base:
            sent["api_base"] = self.api_base
            key = key or "none"  # or litellm would send the provider's own key to this server
        if key:
            sent["api_key"] = key
        if self.headers:
            sent["extra_headers"] = self.sent_headers()
        return sent

    def _reply(self, answer: Any) -> Reply:
        if not answer.choices:
            raise TeacherBusy(f"{self.model}: the reply has no choices") from ValueError("no choices")
        choice, usage = answer.choices[0], answer.usage
        text, finish = choice.message.content or "", _FINISH.get(choice.finish_reason, "stop")
        text = text if text.isascii() else text.encode("utf-8", "replace").decode()
        read, written = usage.prompt_tokens or 0, usage.completion_tokens or 0
        cached = _detail(usage, "prompt_tokens_details", "cached_tokens")
        thought = _detail(usage, "completion_tokens_details", "reasoning_tokens")
        return Reply(text, read, written, self._cost(read, cached, written, thought), finish, cached, thought)

    def _cost(self, read: int, cached: int, written: int, thought: int) -> float:
        price = super().price()
        if price is not None:
            return price.cost(read, written, cached)
        known = self.known()
        if known.price is None:
            return 0.0
        dearer = (known.reasoning_price - known.price.output) * thought / 1e6 if known.reasoning_price else 0.0
        return known.price.cost(read, written, cached) + dearer


def _detail(usage: Any, group: str, name: str) -> int:
    details = getattr(usage, group, None)
    if isinstance(details, Mapping):
        return int(details.get(name) or 0)
    return int(getattr(details, name, None) or 0)
