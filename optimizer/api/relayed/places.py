"""The paths that are passed on to one provider, and what each of them is about.

Formats: https://platform.openai.com/docs/api-reference/batch, .../files, .../responses,
.../conversations; https://docs.anthropic.com/en/api/creating-message-batches,
https://docs.anthropic.com/en/api/files-create
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from analytics.models import ProviderObject

Action = Literal["create", "list", "get", "delete", "change", "read"]
"""What is done with an object. "read" passes the answer on as it arrives, unread."""
Wire = Literal["openai", "anthropic"]
Kind = ProviderObject.Kind


@dataclass(frozen=True, slots=True)
class Place:
    """One path below /v1: the kind of object, the actions by method, and whose API it is.

    The parts of ``path`` in angle brackets are an object's id and that of a part of it.
    """

    path: str
    kind: Kind
    actions: Mapping[str, Action]
    wires: tuple[Wire, ...] = field(default=("openai",))


PLACES = (
    Place("batches", Kind.BATCH, {"GET": "list", "POST": "create"}),
    Place("batches/<str:object_id>", Kind.BATCH, {"GET": "get"}),
    Place("batches/<str:object_id>/cancel", Kind.BATCH, {"POST": "change"}),
    Place(
        "files", Kind.FILE, {"GET": "list", "POST": "create"}, ("openai", "anthropic")
    ),
    Place(
        "files/<str:object_id>", Kind.FILE, {"GET": "get", "DELETE": "delete"},
        ("openai", "anthropic"),
    ),
    Place("files/<str:object_id>/content", Kind.FILE, {"GET": "read"}, ("openai", "anthropic")),
    Place("responses/<str:object_id>", Kind.RESPONSE, {"GET": "get", "DELETE": "delete"}),
    Place("responses/<str:object_id>/cancel", Kind.RESPONSE, {"POST": "change"}),
    Place("responses/<str:object_id>/input_items", Kind.RESPONSE, {"GET": "read"}),
    Place("conversations", Kind.CONVERSATION, {"POST": "create"}),
    Place(
        "conversations/<str:object_id>", Kind.CONVERSATION,
        {"GET": "get", "POST": "change", "DELETE": "delete"},
    ),
    Place(
        "conversations/<str:object_id>/items", Kind.CONVERSATION, {"GET": "read", "POST": "read"}
    ),
    Place(
        "conversations/<str:object_id>/items/<str:item_id>", Kind.CONVERSATION,
        {"GET": "read", "DELETE": "read"},
    ),
    Place("messages/batches", Kind.BATCH, {"GET": "list", "POST": "create"}, ("anthropic",)),
    Place(
        "messages/batches/<str:object_id>", Kind.BATCH, {"GET": "get", "DELETE": "delete"},
        ("anthropic",),
    ),
    Place(
        "messages/batches/<str:object_id>/cancel", Kind.BATCH, {"POST": "change"}, ("anthropic",)
    ),
    Place("messages/batches/<str:object_id>/results", Kind.BATCH, {"GET": "read"}, ("anthropic",)),
)  # fmt: skip
