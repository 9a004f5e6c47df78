"""The wires by their names."""

from __future__ import annotations

from collections.abc import Mapping

from optimizer.gateway.levers.compression.wires import RequestWire
from optimizer.gateway.levers.compression.wires.anthropic import AnthropicRequests
from optimizer.gateway.levers.compression.wires.gemini import GeminiRequests
from optimizer.gateway.levers.compression.wires.openai import OpenAIRequests
from optimizer.gateway.levers.compression.wires.responses import ResponsesRequests

REQUEST_WIRES: Mapping[str, RequestWire] = {
    "anthropic": AnthropicRequests(),
    "gemini": GeminiRequests(),
    "openai": OpenAIRequests(),
    "openai-responses": ResponsesRequests(),
}
