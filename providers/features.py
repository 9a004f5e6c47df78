"""The features that a request needs, and the wires that support them.

Features are named in words. The same words are in the answer to a client whose request
no model can serve. Every needed feature maps to the request field that needs it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from providers.chat import Chat, File, Image, Message, Native, Part, Text, ToolCall, ToolResult
from providers.residency import residency_feature
from providers.wire_table import client_name, labels_of

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
STOPS = "stop sequences"
SEVERAL_STOPS = "several stop sequences"
FOUR_STOPS = "more than four stop sequences"
TOOL_CHOICE = "tool choices other than auto"
NAMES = "names of participants"
LATER_SYSTEM = "system messages amid the conversation"
PREFILL = "continuing an assistant's message"

USERS = "ids of users"
REASONING = "reasoning"
ADAPTIVE = "adaptive thinking"
BUDGETS = "thinking budgets"
EFFORT = "effort levels"
FILES = "documents"
FILE_URLS = "document URLs"
AUDIO = "audio"
VIDEO = "video"
VERBOSITY = "verbosity"
SERVICE_TIERS = "service tiers"
FREEFORM_TOOLS = "freeform tools"
PAST_REASONING = "reasoning of earlier turns"
TEXT_COMPLETIONS = "text completions"
# A server that lacks it has OpenAI's API with fewer fields, and refuses those it does not know.
OPENAI_API = "the openai API"

# What a model without the feature can leave out and still give a useful answer. The answer
# names what was left out. A strict request goes only to models that leave out nothing.
DROPPABLE = frozenset(
    {
        STRICT_TOOLS, SINGLE_TOOL_CALLS, LOGIT_BIAS, SEED, PENALTIES, TEMPERATURE, HOT, TOP_P,
        TOP_K, SEVERAL_STOPS, FOUR_STOPS, NAMES, REASONING, VERBOSITY, SERVICE_TIERS, USERS,
    }
)  # fmt: skip
# What says something about a request and nothing about its answer: no reason to refuse it.
_OF_LABELS = frozenset({SERVICE_TIERS, USERS})

EVERY_WIRE = frozenset(
    {
        JSON_SCHEMA, TEMPERATURE, TOP_P, REASONING, LATER_SYSTEM, USERS, STOPS, SEVERAL_STOPS,
        TOOL_CHOICE,
    }
)  # fmt: skip
# Servers with OpenAI's API.
OPENAI = EVERY_WIRE | {
    JSON_OBJECT, STRICT_TOOLS, SINGLE_TOOL_CALLS, IMAGE_URLS, SEVERAL_CHOICES, LOGPROBS,
    LOGIT_BIAS, SEED, PENALTIES, HOT, NAMES, TOOL_RESULT_IMAGES, EFFORT, PAST_REASONING,
    TEXT_COMPLETIONS, OPENAI_API, "the openai-completions API",
}  # fmt: skip
OPENAI_OWN = (OPENAI - {PAST_REASONING, TEXT_COMPLETIONS}) | {
    VERBOSITY, SERVICE_TIERS, FREEFORM_TOOLS, FILES, AUDIO,
}  # fmt: skip
OPENROUTER = OPENAI | {
    VERBOSITY, SERVICE_TIERS, TOP_K, FILES, FILE_URLS, AUDIO, VIDEO, BUDGETS, ADAPTIVE,
}  # fmt: skip
# JSON without a schema is asked for in the system prompt, as the wire has no field for it.
ANTHROPIC = EVERY_WIRE | {
    JSON_OBJECT, STRICT_TOOLS, SINGLE_TOOL_CALLS, TOOL_RESULT_IMAGES, IMAGE_URLS, TOP_K,
    FOUR_STOPS, PREFILL, FILES, FILE_URLS, EFFORT, ADAPTIVE, BUDGETS, "the anthropic API",
}  # fmt: skip
# JSON without a schema is asked for in the system prompt here, too. Pictures and documents are sent
# as bytes alone.
BEDROCK_CONVERSE = (EVERY_WIRE - {USERS}) | {
    JSON_OBJECT, TOOL_RESULT_IMAGES, FOUR_STOPS, FILES, EFFORT, SERVICE_TIERS,
}  # fmt: skip
LLAMA_CPP = (EVERY_WIRE - {REASONING}) | {
    JSON_OBJECT, SEED, PENALTIES, HOT, FOUR_STOPS, LOGPROBS,
}  # fmt: skip
GEMINI = (EVERY_WIRE - {USERS}) | {
    JSON_OBJECT, SEVERAL_CHOICES, SEED, PENALTIES, HOT, TOP_K, IMAGE_URLS, TOOL_RESULT_IMAGES,
    FILES, FILE_URLS, AUDIO, VIDEO, EFFORT, BUDGETS, STRICT_TOOLS, "the gemini API",
}  # fmt: skip


# A document sent as an image: what a named model needs instead, which gets it as it came. The
# server may be a gateway to models that read documents.
_NEEDS_AS_IMAGE = {FILES: VISION, AUDIO: VISION, VIDEO: VISION, FILE_URLS: IMAGE_URLS}
_AS_IMAGE = " as images"
_OF_IMAGE_PARTS = frozenset(feature + _AS_IMAGE for feature in _NEEDS_AS_IMAGE)


OF_MODELS = (TOOLS, VISION, JSON)
"""The features that a model has beside those of its wire."""
ALL = tuple(sorted(OPENAI_OWN | OPENROUTER | ANTHROPIC | BEDROCK_CONVERSE | LLAMA_CPP | GEMINI))
"""The features of all wires."""


def needs(chat: Chat, *, strict: bool = False) -> dict[str, str]:
    """Return the features that ``chat`` needs, each with the request field that needs it.

    A ``strict`` request needs everything it has but labels; others can do without
    :data:`DROPPABLE`. The fields have the names of OpenAI's chat completions;
    :func:`field_names` gives those of the client's API.
    """
    needed = dict(_all_features(chat))
    if strict and chat.extras and chat.source is not None:
        extras = sorted(set(chat.extras) - labels_of(chat.source))
        if extras:
            needed.setdefault(f"the {chat.source.wire} API", ", ".join(extras))
    for feature in (_OF_LABELS if strict else DROPPABLE) & needed.keys():
        del needed[feature]
    if chat.residency:
        needed[residency_feature(chat.residency)] = "residency"
    return needed


def dropped(chat: Chat, features: frozenset[str], *, relayed: bool) -> tuple[str, ...]:
    """Return the fields of ``chat`` that a model with ``features`` leaves out, sorted.

    ``relayed`` is whether the request goes out on its own wire: with a named model it arrives
    as it is.
    """
    if relayed and not chat.chosen:
        return ()
    needed = _all_features(chat)
    left_out = DROPPABLE & (needed.keys() - features)
    fields = set(field_names(chat, map(needed.__getitem__, left_out)) if left_out else ())
    if not relayed:
        fields.update(chat.extras)
    return tuple(sorted(fields))


def field_names(chat: Chat, fields: Iterable[str]) -> tuple[str, ...]:
    """Return ``fields``, which :func:`needs` names, by their names in the client's API, sorted."""
    if chat.source is None:
        return tuple(sorted(set(fields)))
    return tuple(sorted({client_name(chat.source, field) for field in fields}))


def _all_features(chat: Chat) -> Mapping[str, str]:
    """Return every feature with its field; they are looked for once a chat."""
    if chat.features is None:
        object.__setattr__(chat, "features", _find_features(chat))
    assert chat.features is not None
    return chat.features


def _find_features(chat: Chat) -> Mapping[str, str]:
    needed: dict[str, str] = {}
    _add_sampling_needs(chat, needed)
    if chat.output is not None:
        needed[JSON] = "response_format"
        needed[JSON_OBJECT if chat.output.schema is None else JSON_SCHEMA] = "response_format"
    if chat.tools:
        needed[TOOLS] = "tools"
        if any(tool.strict for tool in chat.tools):
            needed[STRICT_TOOLS] = "tools.strict"
        if not chat.parallel_tools:
            needed[SINGLE_TOOL_CALLS] = "parallel_tool_calls"
        if chat.tool_choice.mode != "auto":
            needed[TOOL_CHOICE] = "tool_choice"
    if chat.surveyed is None:
        _add_message_needs(chat, needed)
    else:
        needed.update(_surveyed_needs(chat))
    if chat.source is not None and chat.native:
        needed[f"the {chat.source.wire} API"] = ", ".join(chat.native)
    if PREFILL in needed and chat.source is not None and chat.source.wire.startswith("openai"):
        # With OpenAI's API a new turn follows the assistant's last message. Other APIs continue
        # that message instead.
        needed.setdefault(f"the {chat.source.wire} API", needed.pop(PREFILL))
    if not _OF_IMAGE_PARTS.isdisjoint(needed):
        _decide_image_parts(chat, needed)
    return needed


def _decide_image_parts(chat: Chat, needed: dict[str, str]) -> None:
    """Replace the needs of documents sent as images: a named model needs those of images alone."""
    for feature, of_image in _NEEDS_AS_IMAGE.items():
        if (request_field := needed.pop(feature + _AS_IMAGE, None)) is not None:
            needed[feature if chat.chosen else of_image] = request_field


def _surveyed_needs(chat: Chat) -> Mapping[str, str]:
    """Return the needs of the messages of a large chat, which are looked for only once."""
    survey = chat.survey
    if survey is not None and survey.needs is not None:
        return survey.needs
    needs: dict[str, str] = {}
    _add_message_needs(chat, needs)
    if survey is not None:
        survey.needs = needs
    return needs


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
        (STOPS, "stop", chat.stop),
        (SEVERAL_STOPS, "stop", len(chat.stop) > 1),
        (FOUR_STOPS, "stop", len(chat.stop) > 4),
        (REASONING, "reasoning", chat.reasoning is not None and chat.reasoning.effort != "none"),
        (VERBOSITY, "verbosity", chat.verbosity),
        (SERVICE_TIERS, "service_tier", chat.service_tier),
        (USERS, "user", chat.user),
    ):
        if value:
            needed[feature] = request_field  # noqa: PERF403 - one of several sources


def _add_message_needs(chat: Chat, needed: dict[str, str]) -> None:
    conversation_started = False
    for message in chat.messages:
        if message.name:
            needed[NAMES] = "messages.name"
        if message.role != "system":
            conversation_started = True
        elif conversation_started:
            needed[LATER_SYSTEM] = "messages"
        for part in message.parts:
            if type(part) is not Text:
                needed.update(_part_needs(part, chat))
    # Results follow calls: providers/tool_results.py says that there are none.
    if chat.messages and (last := chat.messages[-1]).role == "assistant" and not _calls(last):
        needed[PREFILL] = "messages"


def _calls(message: Message) -> bool:
    return any(isinstance(part, ToolCall) for part in message.parts)


def _part_needs(part: Part, chat: Chat) -> Iterator[tuple[str, str]]:
    if isinstance(part, Image):
        yield from _image_needs(part, chat)
    elif isinstance(part, File):
        yield from _file_needs(part, chat)
    elif isinstance(part, ToolResult):
        yield TOOLS, "messages"
        for inner in part.content:
            if isinstance(inner, Image):
                yield TOOL_RESULT_IMAGES, "messages"
                yield from _image_needs(inner, chat)
            elif isinstance(inner, File):
                yield from _file_needs(inner, chat)
    elif isinstance(part, Native) and chat.source is not None:
        yield f"the {chat.source.wire} API", f"messages ({part.kind})"


def _image_needs(image: Image, chat: Chat) -> Iterator[tuple[str, str]]:
    yield VISION, "messages"
    if image.url:
        yield IMAGE_URLS, "messages"
    if image.file_id and chat.source is not None:
        yield f"the {chat.source.wire} API", "messages (images by file id)"


def _file_needs(file: File, chat: Chat) -> Iterator[tuple[str, str]]:
    kind = file.media_type.partition("/")[0]
    # A large chat keeps these needs: whether its model is named counts later.
    as_image = _AS_IMAGE if file.as_image else ""
    if not file.text:
        yield {"audio": AUDIO, "video": VIDEO}.get(kind, FILES) + as_image, "messages"
    if file.url:
        yield FILE_URLS + as_image, "messages"
    if file.file_id and chat.source is not None:
        # Only the provider that stored the file knows its id.
        yield f"the {chat.source.wire} API", "messages (files by id)"
