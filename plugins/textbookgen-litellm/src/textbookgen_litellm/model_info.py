"""Model information from litellm's tables: provider, price, capabilities. The files are read without importing litellm."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from textbookgen import Price

_PRICES = "model_prices_and_context_window_backup.json"
_PROVIDERS = "llms/openai_like/providers.json"

#: Variables of providers whose key is not in PROVIDER_API_KEY; one of them is enough.
_KEY_VARIABLES: dict[str, tuple[str, ...]] = {
    "anthropic": ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"),
    "ai21_chat": ("AI21_API_KEY",),
    "azure": ("AZURE_API_KEY", "AZURE_AD_TOKEN", "AZURE_CLIENT_ID"),
    "cohere": ("COHERE_API_KEY", "CO_API_KEY"),
    "cohere_chat": ("COHERE_API_KEY", "CO_API_KEY"),
    "datarobot": ("DATAROBOT_API_TOKEN",),
    "fireworks_ai": ("FIREWORKS_AI_API_KEY", "FIREWORKS_API_KEY", "FIREWORKSAI_API_KEY", "FIREWORKS_AI_TOKEN"),
    "gemini": ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
    "huggingface": ("HF_TOKEN", "HUGGINGFACE_API_KEY"),
    "lambda_ai": ("LAMBDA_API_KEY",),
    "openrouter": ("OPENROUTER_API_KEY", "OR_API_KEY"),
    "perplexity": ("PERPLEXITYAI_API_KEY", "PERPLEXITY_API_KEY"),
    "replicate": ("REPLICATE_API_KEY", "REPLICATE_API_TOKEN"),
    "text-completion-openai": ("OPENAI_API_KEY",),
    "together_ai": ("TOGETHERAI_API_KEY", "TOGETHER_API_KEY", "TOGETHER_AI_API_KEY", "TOGETHER_AI_TOKEN"),
}
#: Providers whose key is known to be in PROVIDER_API_KEY.
_STANDARD_VARIABLE = frozenset(
    (
        "openai",
        "deepseek",
        "groq",
        "mistral",
        "xai",
        "cerebras",
        "deepinfra",
        "nvidia_nim",
        "moonshot",
        "novita",
        "nebius",
        "sambanova",
        "ai21",
        "vercel_ai_gateway",
        "codestral",
        "featherless_ai",
        "hyperbolic",
        "dashscope",
    )
)


@dataclass(frozen=True)
class ModelInfo:
    """What litellm's tables say about a model.

    Attributes:
        provider: the provider; None if it is unknown.
        listed: whether the price table has the model.
        price: the price, if listed.
        reasoning_price: US dollars per million reasoning tokens, where these have their own price.
        max_output_tokens: the model's limit of tokens of a reply.
        reasoning: whether it is a reasoning model.
        supports_schema: whether it accepts a JSON schema as `response_format`.
    """

    provider: str | None
    listed: bool
    price: Price | None = None
    reasoning_price: float | None = None
    max_output_tokens: int | None = None
    reasoning: bool = False
    supports_schema: bool = False


def model_info(model: str) -> ModelInfo:
    """Return what litellm's tables say about a model, named as in a recipe: `openai/gpt-4o-mini`, or `gpt-4o-mini` alone."""
    prefix, _, rest = model.partition("/")
    row = _table(_PRICES).get(model)
    if row is None and rest:
        unprefixed = _table(_PRICES).get(rest)
        row = unprefixed if unprefixed and _same_provider(prefix, unprefixed.get("litellm_provider", "")) else None
    provider = prefix if rest and prefix in _known_providers() else None
    return ModelInfo(provider, listed=False) if row is None else _read_row(row, provider)


def _read_row(row: Mapping[str, Any], provider: str | None) -> ModelInfo:
    input_price, output_price = row.get("input_cost_per_token"), row.get("output_cost_per_token")
    cached_price, reasoning_price = row.get("cache_read_input_token_cost"), row.get("output_cost_per_reasoning_token")
    price = None
    if input_price is not None and output_price is not None:
        price = Price(input_price * 1e6, output_price * 1e6, None if cached_price is None else cached_price * 1e6)
    max_output_tokens = row.get("max_output_tokens")
    return ModelInfo(
        provider=provider or row.get("litellm_provider"),
        listed=True,
        price=price,
        reasoning_price=None if reasoning_price is None else reasoning_price * 1e6,
        max_output_tokens=max_output_tokens if isinstance(max_output_tokens, int) else None,
        reasoning=bool(row.get("supports_reasoning")),
        supports_schema=bool(row.get("supports_response_schema")),
    )


def key_variables(provider: str) -> tuple[str, ...]:
    """Return the environment variables in which litellm looks for a provider's key; empty if there are none or unknown."""
    if provider in _KEY_VARIABLES:
        return _KEY_VARIABLES[provider]
    if provider in _STANDARD_VARIABLE:
        return (f"{provider.upper()}_API_KEY",)
    variable = _table(_PROVIDERS).get(provider, {}).get("api_key_env")
    return (variable,) if variable else ()


def missing_key_variable(provider: str) -> str | None:
    """Return the variable to set, if a provider needs a key and none of its variables has one."""
    variables = key_variables(provider)
    return variables[0] if variables and not any(os.environ.get(variable) for variable in variables) else None


def similar_models(model: str) -> list[str]:
    """Return up to three models of the price table with a similar name."""
    from difflib import get_close_matches

    return get_close_matches(model, _table(_PRICES), n=3, cutoff=0.7)


def _same_provider(prefix: str, provider: str) -> bool:
    """Return whether a model listed without a prefix belongs to the provider: `bedrock` is listed as `bedrock_converse`."""
    return provider == prefix or provider.startswith((f"{prefix}-", f"{prefix}_"))


@lru_cache(maxsize=1)
def _known_providers() -> frozenset[str]:
    listed = {row.get("litellm_provider", "") for row in _table(_PRICES).values()}
    prefixes = {name.partition("/")[0] for name in _table(_PRICES) if "/" in name}
    folders = {item.name for item in (_package() / "llms").iterdir() if item.is_dir()}
    return frozenset(listed | prefixes | folders | _table(_PROVIDERS).keys())


@lru_cache(maxsize=2)
def _table(name: str) -> dict[str, dict[str, Any]]:
    file = _package() / name
    return dict(json.loads(file.read_text(encoding="utf-8"))) if file.exists() else {}


def _package() -> Path:
    """Return litellm's folder without importing it, which takes seconds."""
    spec = find_spec("litellm")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("litellm is not installed")
    return Path(spec.origin).parent
