"""Keys of one's own: made, replaced and revoked within the template that an operator has set."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from analytics.access.audit import audit_by
from analytics.access.keys import NewKey
from analytics.access.own_keys import (
    LABEL_CHARS,
    OwnKeyError,
    is_valid,
    keys_left,
    own_key_make,
    own_key_revoke,
    own_key_rotate,
    own_keys,
)
from analytics.models import Developer
from optimizer.me.visitor import Visitor, for_visitors, page
from optimizer.presentation.connections.snippets import ways_to_use


class OwnKeyForm(forms.Form):
    """The name of a new key and, within the template, how long it is valid."""

    label = forms.CharField(label="Name of the key", max_length=LABEL_CHARS)
    days = forms.IntegerField(label="Days valid", required=False, min_value=1, max_value=36_500)

    def __init__(self, *args: Any, developer: Developer, **options: Any) -> None:
        super().__init__(*args, **options)
        most = developer.template.days if developer.template else None
        self.fields["label"].widget.attrs["placeholder"] = "laptop"
        self.fields["days"].help_text = (
            "Empty: it does not expire." if most is None else f"{most} at most, also if left empty."
        )


@require_safe
@for_visitors
def keys_page(request: HttpRequest, visitor: Visitor) -> HttpResponseBase:
    """Show the visitor's keys and what they may do with them."""
    return _keys(request, visitor)


@require_POST
@for_visitors
def key_make_view(request: HttpRequest, visitor: Visitor) -> HttpResponseBase:
    """Make a key, and show it once."""
    developer = _developer(visitor)
    form = OwnKeyForm(request.POST, developer=developer)
    if not form.is_valid():
        return _keys(request, visitor, form, status=400)
    try:
        made = own_key_make(developer, **form.cleaned_data)
    except OwnKeyError as error:
        form.add_error(None, str(error))
        return _keys(request, visitor, form, status=400)
    audit_by(request.user, made.key, "made at /me")
    return _made(request, visitor, made)


@require_POST
@for_visitors
def key_rotate_view(request: HttpRequest, visitor: Visitor, pk: int) -> HttpResponseBase:
    """Replace a key, and show the new one once."""
    try:
        made = own_key_rotate(_developer(visitor), pk)
    except OwnKeyError as error:
        messages.error(request, str(error))
        return redirect("me:keys")
    audit_by(request.user, made.key, "replaced its predecessor at /me")
    return _made(request, visitor, made)


@require_POST
@for_visitors
def key_revoke_view(request: HttpRequest, visitor: Visitor, pk: int) -> HttpResponseBase:
    """Revoke a key at once."""
    try:
        key = own_key_revoke(_developer(visitor), pk)
    except OwnKeyError as error:
        messages.error(request, str(error))
    else:
        audit_by(request.user, key, "revoked at /me")
        messages.success(request, f"{key.name} is revoked, everywhere within a second.")
    return redirect("me:keys")


def _developer(visitor: Visitor) -> Developer:
    """Return the developer. Raises ``PermissionDenied`` for a key: it makes no other keys."""
    if visitor.developer is None:
        raise PermissionDenied
    return visitor.developer


def _keys(
    request: HttpRequest, visitor: Visitor, form: OwnKeyForm | None = None, *, status: int = 200
) -> HttpResponseBase:
    developer, now = visitor.developer, timezone.now()
    keys = visitor.keys if developer is None else own_keys(developer)
    left = 0 if developer is None else keys_left(developer)
    if form is None and developer is not None and left:
        form = OwnKeyForm(developer=developer)
    return page(
        request,
        "me/keys.html",
        "Your keys",
        visitor,
        status=status,
        keys=[(key, is_valid(key, now)) for key in keys],
        left=left,
        form=form,
    )


def _made(request: HttpRequest, visitor: Visitor, made: NewKey) -> HttpResponseBase:
    """Show the key in the answer itself: a redirect would have to store it."""
    base = f"{request.scheme}://{request.get_host()}"
    return page(
        request, "me/made_key.html", "Your new key", visitor,
        made=made, ways=ways_to_use(base, made.secret),
    )  # fmt: skip
