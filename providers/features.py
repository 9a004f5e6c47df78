"""What a request needs of whoever answers it, and which wires can give that.

A need is named in words, as it stands in the answer to a client that no model
can serve. Every need maps to the field of the request it comes from.
"""

from __future__ import annotations

from collections.abc import Iterator

from providers.chat import Chat, Image, Native, Part, Text, ToolResult

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
    """Return what ``chat`` needs, each with the field of the request that needs it."""
    needed: dict[str, str] = {}
    _add_needs_of_sampling(chat, needed)
    if chat.output is not None:
        needed[JSON] = "response_format"
        needed[JSON_OBJECT if chat.output.schema is None else JSON_SCHEMA] = "response_format"
    if chat.tools:
        needed[TOOLS] = "tools"
        if any(tool.strict for tool in chat.tools):
            needed[STRICT_TOOLS] = "tools"
        if not chat.parallel_tools:
            needed[SINGLE_TOOL_CALLS] = "parallel_tool_calls"
    _add_needs_of_messages(chat, needed)
    if chat.source is not None and chat.native:
        needed[f"the {chat.source.wire} API"] = ", ".join(chat.native)
    if PREFILL in needed and chat.source is not None and chat.source.wire == "openai":
        # There it is no beginning to go on with, but a turn after which another shall follow.
        needed.setdefault("the openai API", needed.pop(PREFILL))
    return needed


def _add_needs_of_sampling(chat: Chat, needed: dict[str, str]) -> None:
    # One is every provider's default temperature and top_p, so asking for it asks for nothing.
    if chat.temperature not in (None, 1):
        needed[TEMPERATURE] = "temperature"
        if chat.temperature > 1:
            needed[HOT] = "temperature"
    if chat.top_p not in (None, 1):
        needed[TOP_P] = "top_p"
    for feature, place, value in (
        (SEVERAL_CHOICES, "n", chat.n > 1),
        (LOGPROBS, "logprobs", chat.logprobs),
        (LOGIT_BIAS, "logit_bias", chat.logit_bias),
        (SEED, "seed", chat.seed is not None),
        (PENALTIES, "presence_penalty", chat.presence_penalty),
        (PENALTIES, "frequency_penalty", chat.frequency_penalty),
        (TOP_K, "top_k", chat.top_k is not None),
        (FOUR_STOPS, "stop", len(chat.stop) > 4),
    ):
        if value:
            needed[feature] = place  # noqa: PERF403 - one of several sources


def _add_needs_of_messages(chat: Chat, needed: dict[str, str]) -> None:
    spoken = False
    for message in chat.messages:
        if message.name:
            needed[NAMES] = "messages"
        if message.role != "system":
            spoken = True
        elif spoken:
            needed[LATER_SYSTEM] = "messages"
        for part in message.parts:
            if type(part) is not Text:
                needed.update(_content(part, chat))
    if chat.messages and chat.messages[-1].role == "assistant":
        needed[PREFILL] = "messages"


def _content(part: Part, chat: Chat) -> Iterator[tuple[str, str]]:
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
