"""What a request needs of whoever answers it, and which wires can give that.

A need is named in words, as it stands in the answer to a client that no model
can serve. Every need maps to the field of the request it comes from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import takewhile

from providers.chat import Chat, Image, Native, ToolResult

TOOLS = "tools"
VISION = "vision"
JSON = "json"

# What a wire can or cannot say; the three above are what a model can or cannot do.
JSON_OBJECT = "JSON without a schema"
JSON_SCHEMA = "JSON schemas"
STRICT_TOOLS = "strict tools"
SINGLE_TOOL_CALLS = "forbidding parallel tool calls"
TOOL_RESULT_IMAGES = "images in tool results"
IMAGE_URLS = "image URLs"
SEVERAL_CHOICES = "several choices (n)"
LOGPROBS = "logprobs"
LOGIT_BIAS = "logit bias"
SEED = "seed"
PENALTIES = "penalties"
TEMPERATURE = "temperature"
HOT = "temperature above 1"
TOP_P = "top_p"
TOP_K = "top_k"
FOUR_STOPS = "more than four stop sequences"
NAMES = "names of participants"
LATER_SYSTEM = "system messages amid the conversation"
PREFILL = "continuing an assistant's message"

EVERY_WIRE = frozenset({JSON_SCHEMA, TEMPERATURE, TOP_P})
OPENAI = EVERY_WIRE | {
    JSON_OBJECT, STRICT_TOOLS, SINGLE_TOOL_CALLS, IMAGE_URLS, SEVERAL_CHOICES, LOGPROBS,
    LOGIT_BIAS, SEED, PENALTIES, HOT, NAMES, LATER_SYSTEM, "the openai API",
}  # fmt: skip
ANTHROPIC = EVERY_WIRE | {
    STRICT_TOOLS, SINGLE_TOOL_CALLS, TOOL_RESULT_IMAGES, IMAGE_URLS, TOP_K, FOUR_STOPS, PREFILL,
    "the anthropic API",
}  # fmt: skip
LLAMA_CPP = EVERY_WIRE | {
    JSON_OBJECT, SEED, PENALTIES, HOT, FOUR_STOPS, LATER_SYSTEM, LOGPROBS,
}  # fmt: skip
GEMINI = EVERY_WIRE | {JSON_OBJECT, SEVERAL_CHOICES, SEED, PENALTIES, HOT, TOP_K}


def needs(chat: Chat) -> dict[str, str]:
    """What ``chat`` needs, each with the field of the request that needs it."""
    found = {feature: place for feature, place, asked in _PARAMETERS if asked(chat)}
    found.update(_content(chat))
    if chat.source is not None and chat.native:
        found[f"the {chat.source.wire} API"] = ", ".join(chat.native)
    if PREFILL in found and chat.source is not None and chat.source.wire == "openai":
        # There it is no beginning to go on with, but a turn after which another shall follow.
        found.setdefault("the openai API", found.pop(PREFILL))
    return found


_Test = Callable[[Chat], bool]
# One is every provider's default temperature and top_p, so asking for it asks for nothing.
_PARAMETERS: tuple[tuple[str, str, _Test], ...] = (
    (JSON, "response_format", lambda c: c.output is not None),
    (JSON_OBJECT, "response_format", lambda c: c.output is not None and c.output.schema is None),
    (JSON_SCHEMA, "response_format", lambda c: bool(c.output and c.output.schema is not None)),
    (SEVERAL_CHOICES, "n", lambda c: c.n > 1),
    (LOGPROBS, "logprobs", lambda c: c.logprobs),
    (LOGIT_BIAS, "logit_bias", lambda c: bool(c.logit_bias)),
    (SEED, "seed", lambda c: c.seed is not None),
    (PENALTIES, "presence_penalty", lambda c: bool(c.presence_penalty)),
    (PENALTIES, "frequency_penalty", lambda c: bool(c.frequency_penalty)),
    (TEMPERATURE, "temperature", lambda c: c.temperature not in (None, 1)),
    (HOT, "temperature", lambda c: (c.temperature or 0) > 1),
    (TOP_P, "top_p", lambda c: c.top_p not in (None, 1)),
    (TOP_K, "top_k", lambda c: c.top_k is not None),
    (FOUR_STOPS, "stop", lambda c: len(c.stop) > 4),
    (TOOLS, "tools", lambda c: bool(c.tools)),
    (STRICT_TOOLS, "tools", lambda c: any(tool.strict for tool in c.tools)),
    (SINGLE_TOOL_CALLS, "parallel_tool_calls", lambda c: bool(c.tools) and not c.parallel_tools),
    (NAMES, "messages", lambda c: any(message.name for message in c.messages)),
    (LATER_SYSTEM, "messages", lambda c: _system_after_a_turn(c)),
    (PREFILL, "messages", lambda c: bool(c.messages) and c.messages[-1].role == "assistant"),
)


def _system_after_a_turn(chat: Chat) -> bool:
    roles = [message.role for message in chat.messages]
    return "system" in roles[len(list(takewhile(lambda role: role == "system", roles))) :]


def _content(chat: Chat) -> Iterator[tuple[str, str]]:
    for part in chat.parts():
        if isinstance(part, Image):
            yield from _image(part)
        elif isinstance(part, ToolResult):
            yield TOOLS, "messages"
            for inner in part.content:
                if isinstance(inner, Image):
                    yield TOOL_RESULT_IMAGES, "messages"
                    yield from _image(inner)
        elif isinstance(part, Native) and chat.source is not None:
            yield f"the {chat.source.wire} API", f"{part.kind} content"


def _image(image: Image) -> Iterator[tuple[str, str]]:
    yield VISION, "messages"
    if image.url:
        yield IMAGE_URLS, "messages"
