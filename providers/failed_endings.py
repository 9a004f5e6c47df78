"""Endings of answers that are failures, though they come with status 200.

- OpenRouter and Mistral: https://openrouter.ai/docs/api/reference/errors-and-debugging,
  https://docs.mistral.ai/api/
- Cohere: https://docs.cohere.com/reference/chat
- DeepSeek: https://api-docs.deepseek.com/api/create-chat-completion
- Z.ai: https://docs.z.ai/api-reference/llm/chat-completion
- Gemini: https://ai.google.dev/api/generate-content#FinishReason
- Bedrock: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
"""

from __future__ import annotations

from providers.completion import Usage
from providers.errors import AnswerFailed, EmptyCompletion, ProviderError

# The model did not come to the end of its answer.
_BROKEN = frozenset(
    {"error", "timeout", "network_error", "insufficient_system_resource", "abort", "aborted"}
)
# The model called a tool, and the call is lost: what it wrote before is no answer.
_LOST_CALL = frozenset(
    {
        "malformed_function_call",
        "unexpected_tool_call",
        "too_many_tool_calls",
        "missing_thought_signature",
        "malformed_response",
        "malformed_tool_use",
        "malformed_model_output",
    }
)


def is_failure(reason: object, *, called: bool) -> bool:
    """Return whether an answer that ends for ``reason``, a word of any API, has failed.

    ``called`` is whether the answer has calls of tools; those that arrived whole can be used.
    """
    if not isinstance(reason, str):
        return False
    word = _word(reason)
    return word in _BROKEN or (word in _LOST_CALL and not called)


def failed_ending(provider: str, reason: str, usage: Usage | None) -> ProviderError:
    """Return the error of an answer that ended for ``reason``; ``usage`` is charged for it."""
    error: ProviderError
    if _word(reason) in _LOST_CALL:
        words = "ended its answer with a call of a tool that cannot be read"
        error = EmptyCompletion(provider, words, usage=usage)
    else:
        error = AnswerFailed(provider, "ended its answer with an error", usage=usage)
    error.maybe_charged = True
    return error


def _word(reason: str) -> str:
    # Google's server of OpenAI's API says "function_call_filter: MALFORMED_FUNCTION_CALL".
    return reason.lower().rpartition(" ")[2]
