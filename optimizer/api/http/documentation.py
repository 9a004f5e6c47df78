"""What the OpenAPI document says about endpoints, kept until somebody asks for the document.

The decorator of drf-spectacular makes a class for each view at once, for which it imports its
generator and Django's test client: 4 MB for a document that most workers never write.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Any, TypeVar

View = TypeVar("View", bound=Callable[..., Any])

_WAITING: list[tuple[Callable[..., Any], dict[str, Any]]] = []
_DESCRIBING = Lock()


def extend_schema(**description: Any) -> Callable[[View], View]:
    """Describe a method of a view as :func:`drf_spectacular.utils.extend_schema` does."""

    def keep(view: View) -> View:
        _WAITING.append((view, description))
        return view

    return keep


def describe_endpoints() -> None:
    """Give drf-spectacular what was kept, in the order of the definitions."""
    from drf_spectacular.utils import extend_schema as described

    # A request for the document that comes meanwhile waits until all are described.
    with _DESCRIBING:
        while _WAITING:
            view, description = _WAITING.pop(0)
            described(**description)(view)
