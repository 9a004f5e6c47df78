"""The features that a request needs, and the wires that support them.

Features are named in words. The same words are in the answer to a client whose request
no model can serve. Every needed feature maps to the request field that needs it.
"""

from __future__ import annotations

from collections.abc import Iterator

from providers.chat import Chat, Image, Native, Part, Text, ToolResult

TOOLS = "tools"
VISION = "vision"
JSON = "json"

# Features of wires: whether a protocol can express them. The three above are features of models.
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
    """Return the features that ``chat`` needs, each with the request field that needs it."""
    needed: dict[str, str] = {}
    _add_sampling_needs(chat, needed)
    if chat.output is not None:
        needed[JSON] = "response_format"
        needed[JSON_OBJECT if chat.output.schema is None else JSON_SCHEMA] = "response_format"
    if chat.tools:
        needed[TOOLS] = "tools"
        if any(tool.strict for tool in chat.tools):
            needed[STRICT_TOOLS] = "tools"
        if not chat.parallel_tools:
            needed[SINGLE_TOOL_CALLS] = "parallel_tool_calls"
    _add_message_needs(chat, needed)
    if chat.source is not None and chat.native:
        needed[f"the {chat.source.wire} API"] = ", ".join(chat.native)
    if PREFILL in needed and chat.source is not None and chat.source.wire == "openai":
        # With OpenAI's API a new turn follows the assistant's last message. Other APIs continue
        # that message instead.
        needed.setdefault("the openai API", needed.pop(PREFILL))
    return needed


def _add_sampling_needs(chat: Chat, needed: dict[str, str]) -> None:
    # 1 is every provider's default for temperature and top_p, so it needs no feature.
    if chat.temperature not in (None, 1):
        needed[TEMPERATURE] = "temperature"
        if chat.temperature > 1:
            needed[HOT] = "temperature"
    if chat.top_p not in (None, 1):
        needed[TOP_P] = "top_p"
    for feature, request_field, value in (
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
            needed[feature] = request_field  # noqa: PERF403 - one of several sources


def _add_message_needs(chat: Chat, needed: dict[str, str]) -> None:
    conversation_started = False
    for message in chat.messages:
        if message.name:
            needed[NAMES] = "messages"
        if message.role != "system":
            conversation_started = True
        elif conversation_started:
            needed[LATER_SYSTEM] = "messages"
        for part in message.parts:
            if type(part) is not Text:
                needed.update(_part_needs(part, chat))
    if chat.messages and chat.messages[-1].role == "assistant":
        needed[PREFILL] = "messages"


def _part_needs(part: Part, chat: Chat) -> Iterator[tuple[str, str]]:
    if isinstance(part, Image):
        yield from _image_needs(part)
    elif isinstance(part, ToolResult):
        yield TOOLS, "messages"
        for inner in part.content:
            if isinstance(inner, Image):
                yield TOOL_RESULT_IMAGES, "messages"
                yield from _image_needs(inner)
    elif isinstance(part, Native) and chat.source is not None:
        yield f"the {chat.source.wire} API", f"{part.kind} content"


def _image_needs(image: Image) -> Iterator[tuple[str, str]]:
    yield VISION, "messages"
    if image.url:
        yield IMAGE_URLS, "messages"
