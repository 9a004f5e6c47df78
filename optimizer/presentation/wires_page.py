"""The page docs/wires.md: what becomes of each field of a client's API on each provider's wire."""

from __future__ import annotations

from collections.abc import Iterator

from providers.wire_table import Api, Treatment, wire_table

_COLUMNS = {
    "openai": "OpenAI chat completions",
    "anthropic": "Anthropic messages",
    "gemini": "Gemini generateContent",
    "local": "embedded model",
}
_INTRODUCTION = """\
# Wires: which field arrives where

A wire is the format of an API. Clients use one of four: OpenAI chat completions, OpenAI responses,
Anthropic messages and Gemini generateContent. Providers use the same four, and the embedded model
has its own.

**On its own wire, a request is passed on.** If the model that answers has the API that the client
uses, every field arrives as it came, whether this service knows it or not, and the answer comes
back as the provider gave it: ids, unknown blocks and events, usage, errors, rate-limit headers.
Only the model's name, credentials, the field `optimizer` and the options of streams that metering
needs are set by this service. If the service chose the model (`auto`), what that model does not
take is left out, and named like the rest below.

**On another wire, it is translated**, as the tables on this page say. They are made from
`providers/wires.toml`, and a test holds the code to them: it reads a sample of every field and
writes it for every wire. The words are:

| word | |
|---|---|
| carried | the field arrives with the same meaning, under the name that the wire has for it |
| adapted | it arrives as what is said there; what comes back is adapted to the client again |
| dropped | it is left out, and the answer says so in the header `x-optimizer-dropped` |
| binding | no model of this wire may answer; if none is left, a 400 names the field |
| handled | it concerns this service or the answer; the provider needs nothing of it |

A model may take less than its wire: newer models of Claude take no `temperature`, and a server with
OpenAI's API may lack features that OpenAI has. `lacks` in `catalogue.toml` says so for each
provider and model; what they lack of sampling is dropped and named, as if the wire lacked it.

**Dialects.** Servers with OpenAI's API differ. `dialect` in `catalogue.toml` says how one spells
what others spell otherwise: Mistral calls the seed `random_seed`, and takes ids of calls of nine
letters and digits alone; Moonshot and MiniMax limit answers by `max_completion_tokens`; Z.ai and
Qwen have a switch for reasoning instead of levels. Requests that the service routes or translates
arrive in the server's own spelling. A server that refuses fields that it does not know (Mistral,
Cohere) lacks "the openai API": it gets the fields that this service knows, also from a client that
names its model.

**`x-optimizer-dropped`** lists the fields that the model left out, by their names in the client's
API (`x-optimizer-dropped: seed, tools.strict`). Whole, streamed and cached answers have it. The
headers of a stream leave before it is certain which model answers, so the last event has the final
list, under `optimizer.dropped`.

**`x-optimizer-strict: true`**, or `"optimizer": {"strict": true}` in the body, refuses rather than
drops: only models that leave out nothing may answer. A [key](access.md) can be strict for all its
requests. Labels are no reason to refuse: fields that say something about the request and have no
part in its answer, such as `metadata`, `user` or `store`. They are marked with ¹.

**Reasoning belongs to the model that wrote it.** A client of another API gets it under a seal of
this service: in the `signature` of a thinking block (Anthropic), `encrypted_content` (responses),
`reasoning_details` (chat completions) or `thoughtSignature` (Gemini). The seal holds the provider,
the model and the reasoning in the provider's own form, is authenticated with `SECRET_KEY`, and is
stored nowhere. When the client sends it back, that model gets its reasoning as it gave it, and any
other model gets the conversation without it. Reasoning without a seal is passed on where the
conversation stays on its own wire.

**`model` in an answer** is the model that answered; in Anthropic's API it is the name that the
client asked for, because agents take another name for a change of model. `x-optimizer-provider` and
`x-optimizer-model` always name the model that answered.

A field's name is its path: `[]` is each item of a list, `[kind]` one kind of item. `POST /complete`
has one text and a limit, which every wire carries.
"""
_NOTES = {
    "openai-responses": (
        "OpenAI's own models get these requests as they came. The first column is for other "
        "servers with chat completions: DeepSeek, Groq, Ollama, vLLM and the like."
    ),
}


def wires_page() -> str:
    """Return the page as Markdown. Raises :class:`providers.wire_table.BadTable`."""
    return "\n".join([_INTRODUCTION, *(line for api in wire_table() for line in _section(api))])


def _section(api: Api) -> Iterator[str]:
    yield f"## {api.title}"
    yield ""
    yield f"`{api.path}` ([reference]({api.reference})). {_NOTES.get(api.wire, '')}".rstrip()
    yield ""
    yield f"| field | {' | '.join(_COLUMNS[wire] for wire in api.others)} |"
    yield "|---" * (len(api.others) + 1) + "|"
    for field in api.fields:
        path, comma, which = field.name.partition(", ")
        name = (
            (path if " " in path else f"`{path}`") + comma + which + (" ¹" if field.label else "")
        )
        yield f"| {name} | {' | '.join(_cell(field.on[wire]) for wire in api.others)} |"
    yield ""


def _cell(treatment: Treatment) -> str:
    return f"{treatment.word}: {treatment.how}" if treatment.how else treatment.word
