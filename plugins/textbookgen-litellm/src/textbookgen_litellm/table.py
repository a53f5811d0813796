"""What litellm's own tables say of a model: its provider, its price, what it can do. Read as files; litellm stays asleep."""

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

#: Variables of providers whose key is not called PROVIDER_API_KEY; any one of a list will do.
_VARIABLES: dict[str, tuple[str, ...]] = {
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
#: Providers whose key is sure to be in PROVIDER_API_KEY.
_BY_NAME = frozenset(
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
class Facts:
    """What is known of a model; `listed` says whether the table of prices has it."""

    provider: str | None
    listed: bool
    price: Price | None = None
    reasoning_price: float | None = None
    max_output_tokens: int | None = None
    reasons: bool = False
    takes_schema: bool = False


def facts(model: str) -> Facts:
    """What litellm's tables say of a model, named as in a recipe: `openai/gpt-4o-mini`, or `gpt-4o-mini` alone."""
    prefix, _, rest = model.partition("/")
    row = _table(_PRICES).get(model)
    if row is None and rest:
        bare = _table(_PRICES).get(rest)
        row = bare if bare and _same(prefix, bare.get("litellm_provider", "")) else None
    if row is None:
        return Facts(prefix if rest and prefix in _known_providers() else None, listed=False)
    return _facts(row, prefix if rest and prefix in _known_providers() else None)


def _facts(row: Mapping[str, Any], prefix: str | None) -> Facts:
    read, written = row.get("input_cost_per_token"), row.get("output_cost_per_token")
    cached, thought = row.get("cache_read_input_token_cost"), row.get("output_cost_per_reasoning_token")
    price = None
    if read is not None and written is not None:
        price = Price(read * 1e6, written * 1e6, None if cached is None else cached * 1e6)
    most = row.get("max_output_tokens")
    return Facts(
        provider=prefix or row.get("litellm_provider"),
        listed=True,
        price=price,
        reasoning_price=None if thought is None else thought * 1e6,
        max_output_tokens=most if isinstance(most, int) else None,
        reasons=bool(row.get("supports_reasoning")),
        takes_schema=bool(row.get("supports_response_schema")),
    )


def key_variables(provider: str) -> tuple[str, ...]:
    """The environment variables that litellm looks for a provider's key in; empty if none is needed, or that is not known."""
    if provider in _VARIABLES:
        return _VARIABLES[provider]
    if provider in _BY_NAME:
        return (f"{provider.upper()}_API_KEY",)
    variable = _table(_PROVIDERS).get(provider, {}).get("api_key_env")
    return (variable,) if variable else ()


def missing_key(provider: str) -> str | None:
    """The variable to set, if a provider needs a key and none of its variables holds one."""
    variables = key_variables(provider)
    return variables[0] if variables and not any(os.environ.get(item) for item in variables) else None


def similar(model: str) -> list[str]:
    """Models of the table with names like this one."""
    from difflib import get_close_matches

    return get_close_matches(model, _table(_PRICES), n=3, cutoff=0.7)


def _same(prefix: str, provider: str) -> bool:
    """Whether a model listed without its provider's name is that provider's: bedrock's are listed as bedrock_converse's."""
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
    """The folder of litellm, found without running any of it: to import it takes seconds."""
    spec = find_spec("litellm")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("litellm is not installed")
    return Path(spec.origin).parent
