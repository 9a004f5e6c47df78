"""Which providers have batches."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from providers.anthropic.client import AnthropicProvider
from providers.batches.anthropic import AnthropicBatches
from providers.batches.gemini import GeminiBatches
from providers.batches.jobs import BatchApi
from providers.batches.openai import OpenAIBatches
from providers.gemini.client import GeminiProvider
from providers.http.wire import WireClient
from providers.openai.client import OpenAIOwnProvider

# Exactly these: other servers with such an API, and the clouds, have other batches or none.
_APIS: Mapping[type, Callable[[WireClient], BatchApi]] = {
    AnthropicProvider: AnthropicBatches,
    GeminiProvider: GeminiBatches,
    OpenAIOwnProvider: OpenAIBatches,
}


def batch_api_of(provider: object) -> BatchApi | None:
    """Return the batches of a provider, ``None`` if it has none."""
    api = _APIS.get(type(provider))
    return None if api is None or not isinstance(provider, WireClient) else api(provider)
