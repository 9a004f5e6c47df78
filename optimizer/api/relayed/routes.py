"""The paths below /v1 that are passed on, and those that clients ask to see who answers."""

from __future__ import annotations

from django.urls import path

from optimizer.api.deferred.batch_views import batch_view_of
from optimizer.api.relayed.places import PLACES, Kind
from optimizer.api.relayed.probe import probe
from optimizer.api.relayed.stored import response_view_of
from optimizer.api.relayed.token_counts import CompactView, InputTokensView
from optimizer.api.relayed.views import view_of

_VIEWS = {
    Kind.RESPONSE: response_view_of, Kind.BATCH: batch_view_of, Kind.FILE: batch_view_of,
}  # fmt: skip

urlpatterns = [
    path("", probe, name="probe"),
    path("responses/input_tokens", InputTokensView.as_view({"post": "create"})),
    path("responses/compact", CompactView.as_view({"post": "create"})),
    *(
        path(
            place.path,
            _VIEWS.get(place.kind, view_of)(place),
        )
        for place in PLACES
    ),
]
