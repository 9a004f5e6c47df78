"""The answers' wires by their names."""

from __future__ import annotations

from collections.abc import Mapping

from optimizer.gateway.levers.compression.answers import AnswerWire
from optimizer.gateway.levers.compression.answers.anthropic import AnthropicAnswers
from optimizer.gateway.levers.compression.answers.gemini import GeminiAnswers
from optimizer.gateway.levers.compression.answers.openai import OpenAIAnswers
from optimizer.gateway.levers.compression.answers.responses import ResponsesAnswers

ANSWER_WIRES: Mapping[str, AnswerWire] = {
    "anthropic": AnthropicAnswers(),
    "gemini": GeminiAnswers(),
    "openai": OpenAIAnswers(),
    "openai-responses": ResponsesAnswers(),
}
