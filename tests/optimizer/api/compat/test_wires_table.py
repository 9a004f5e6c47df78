"""The published table of wires: the code does what it says, field by field.

Each sample is read by its API's own reader and written by each wire's own writer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from anthropic.types.beta.message_create_params import MessageCreateParamsBase
from django.conf import settings
from django.core.management import CommandError, call_command
from openai.types.chat.completion_create_params import CompletionCreateParamsBase
from openai.types.responses.response_create_params import ResponseCreateParamsBase

from optimizer.api.anthropic.request import read_message_query
from optimizer.api.gemini.request_reader.query import read_generate_query
from optimizer.api.openai.chat_request import read_chat_query
from optimizer.api.openai.responses.request import read_response_query
from providers import features
from providers.anthropic.client import AnthropicProvider
from providers.catalogue import load_catalogue
from providers.chat import Chat
from providers.completion import CompletionRequest
from providers.gemini.client import GeminiProvider
from providers.http.wire import WireClient
from providers.local.client import LocalProvider, _LocalWire
from providers.openai.client import OpenAIOwnProvider, OpenAIProvider
from providers.wire_table import WIRES, WORDS, Api, Field, wire_table

PAGE = Path(settings.BASE_DIR) / "docs/wires.md"

# Rows that the readers and writers do not follow yet: API, field and wire (patterns), and why.
# The first five end with the merge of the new readers and writers.
PENDING: tuple[tuple[str, str, str, str], ...] = (
    ("openai", "tool_choice?allowed_tools?", "*", "the reader takes it for a tool of the provider"),
)

MODELS = frozenset({features.TOOLS, features.VISION, features.JSON})
LOCAL = next(m for m in load_catalogue().models if m.provider == "local")
# Each wire: its writer, a model that takes all that the wire has, and what such a model can.
PROVIDERS: Mapping[str, tuple[type[WireClient], str, frozenset[str]]] = {
    "openai": (OpenAIOwnProvider, "gpt-6.1-sol", OpenAIOwnProvider.features | MODELS),
    "anthropic": (AnthropicProvider, "claude-opus-4-6", AnthropicProvider.features | MODELS),
    "gemini": (GeminiProvider, "gemini-4-argon", GeminiProvider.features | MODELS),
    "compatible": (OpenAIProvider, "any", OpenAIProvider.features | MODELS),
    "local": (_LocalWire, LOCAL.id, LocalProvider.features | LOCAL.capabilities),
}


READERS: Mapping[str, Callable[[Any], Chat]] = {
    "openai": lambda body: read_chat_query(body, "")[0].chat,
    "openai-responses": lambda body: read_response_query(body, "").chat,
    "anthropic": lambda body: read_message_query(body, "").chat,
    "gemini": lambda body: read_generate_query(body, "auto", "", streamed=False).chat,
}
TABLE = wire_table()
ROWS = [
    pytest.param(api, field, wire, id=f"{api.wire} {field.name} to {wire}")
    for api in TABLE
    for field in api.fields
    for wire in api.others
]


def read(api: Api, body: Mapping[str, Any]) -> Chat:
    return READERS[api.wire](dict(body))


def written(chat: Chat, wire: str) -> dict[str, Any]:
    kind, model, has = PROVIDERS[wire]
    provider = kind(wire, None, "http://provider.example")  # type: ignore[arg-type]
    lacks = features.ANTHROPIC | features.GEMINI | features.OPENAI
    request = CompletionRequest(model, chat, frozenset(lacks - has))
    return provider._payload(request, provider.own_wire(request))


def found(api: Api, field: Field, wire: str) -> str:
    """What really becomes of a field: a word of the table, or what is wrong."""
    if (api.wire, wire) == ("openai-responses", "openai"):
        # OpenAI itself gets the request as it came; other servers have chat completions only.
        wire = "compatible"
    has = PROVIDERS[wire][2]
    chat, without = read(api, field.request), read(api, field.without)
    needs = features.needs(chat)
    if missing := needs.keys() - has:
        names = features.field_names(chat, (needs[feature] for feature in missing))
        named = [name for text in names for name in text.split(", ")]
        # Whatever makes sense only beside something that binds is bound with it.
        alone = features.needs(without).keys() >= missing
        return "binding" if alone or names_it(named, field) else f"binding, but for {named}"
    changes = written(chat, wire) != written(without, wire)
    dropped = set(features.dropped(chat, has, relayed=False))
    dropped -= set(features.dropped(without, has, relayed=False))
    if dropped:
        if not names_it(dropped, field):
            return f"dropped, but as {sorted(dropped)}"
        # The embedded server reads chat completions, and ignores what it does not know.
        whole = not changes or (api.wire, wire) == ("openai", "local")
        return "dropped" if whole else "dropped in part"
    return "carried" if changes else "handled"


def expect_failure(api: Api, field: Field, wire: str) -> None:
    """End the test as one that fails as expected, if the row is pending."""
    for row in PENDING:
        if all(map(fnmatchcase, (api.wire, field.name, wire), row[:3])):
            pytest.xfail(row[3])


def names_it(names: Any, field: Field) -> bool:
    paths = {plain(field.name.partition(",")[0]), plain(field.at)}
    return any(f"{path}.".startswith(f"{plain(name)}.") for path in paths for name in names)


def plain(name: str) -> str:
    """A path without its brackets: "tools[web_search]" is "tools.web_search"."""
    name = re.sub(r"\[(\d*|\+)\]", "", name.partition(" (")[0])
    return re.sub(r"\[(\w+)\]", r".\1", name).strip(".")


@pytest.mark.parametrize(("api", "field", "wire"), ROWS)
def test_the_code_follows_the_table(api: Api, field: Field, wire: str) -> None:
    says = field.on[wire]
    fitting = {
        "adapted": {"carried"},
        "dropped": {"dropped", "dropped in part"} if says.how else {"dropped"},
    }.get(says.word, {says.word})
    try:
        actual = found(api, field, wire)
    except Exception as error:  # noqa: BLE001 - it is wrong, whatever it is
        actual = f"{type(error).__name__}: {error}"
    if actual not in fitting:
        expect_failure(api, field, wire)
    assert actual in fitting


@pytest.mark.parametrize("api", TABLE, ids=lambda api: api.wire)
def test_each_field_says_what_becomes_of_it_on_every_other_wire(api: Api) -> None:
    assert api.wire in WIRES
    for field in api.fields:
        assert list(field.on) == list(api.others), field.name
        for treatment in field.on.values():
            assert treatment.word in WORDS
            assert treatment.how or treatment.word not in {"adapted", "handled"}, field.name


@pytest.mark.parametrize(
    ("wire", "shape"),
    [
        ("openai", CompletionCreateParamsBase),
        ("openai-responses", ResponseCreateParamsBase),
        ("anthropic", MessageCreateParamsBase),
    ],
)
def test_every_field_of_the_official_clients_is_in_the_table(wire: str, shape: type) -> None:
    (api,) = (api for api in TABLE if api.wire == wire)
    told = {re.split(r"[\[.,]", field.name)[0] for field in api.fields}
    # The beta features of Anthropic's API are a header.
    assert told >= set(shape.__annotations__) - {"betas"}


LABELS = [
    pytest.param(api, field, id=f"{api.wire} {field.name}")
    for api in TABLE
    for field in api.fields
    if field.label
]


@pytest.mark.parametrize(("api", "field"), LABELS)
def test_a_label_is_no_reason_to_refuse(api: Api, field: Field) -> None:
    chat, without = read(api, field.request), read(api, field.without)
    for strict in (False, True):
        if features.needs(chat, strict=strict) != features.needs(without, strict=strict):
            expect_failure(api, field, "")
            raise AssertionError


def test_the_page_is_made_from_the_table() -> None:
    call_command("wires", check=PAGE, stdout=StringIO())


def test_an_old_page_is_found(tmp_path: Path) -> None:
    old = tmp_path / "wires.md"
    for wrong in (None, "# Another page"):
        if wrong is not None:
            old.write_text(wrong, encoding="utf-8")
        with pytest.raises(CommandError, match=str(old)):
            call_command("wires", check=old, stdout=StringIO())
