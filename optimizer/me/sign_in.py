"""Sign-in to /me: with an account, an API key or an invitation. Single sign-on is the admin's."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.contrib.auth import login, logout
from django.contrib.auth.forms import AuthenticationForm
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods, require_POST

from analytics.access.invitations import (
    InvitationError,
    invitation_accept,
    invitation_find,
    invitation_problem,
)
from analytics.access.keys import key_find, key_problem
from optimizer.me.visitor import key_admits, key_remember, page

_PASSWORDS = "django.contrib.auth.backends.ModelBackend"
_MOST_KEY_CHARS = 256
_SIGN_IN = "me/sign_in.html"
_NOT_OPEN = {
    "used": "This invitation was used",
    "expired": "This invitation has expired",
    "ended": "Your access has ended",
    "single_sign_on": "You sign in by single sign-on",
    "unknown": "This invitation does not exist",
}


class KeySignInForm(forms.Form):
    """An API key, which no answer ever contains again."""

    api_key = forms.CharField(
        label="API key",
        max_length=_MOST_KEY_CHARS,
        widget=forms.PasswordInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )


class NewPasswordForm(forms.Form):
    """A new password, typed twice."""

    password = forms.CharField(
        label="Password",
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )
    again = forms.CharField(
        label="Password again",
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )

    def clean(self) -> dict[str, Any]:
        """Return both passwords. Raises ``ValidationError`` if they differ."""
        typed: dict[str, Any] = super().clean() or {}
        if typed.get("password") != typed.get("again"):
            self.add_error("again", "The two passwords differ.")
        return typed


def sign_in_page(request: HttpRequest, *, status: int = 200, **context: Any) -> HttpResponseBase:
    """Return the page that offers every way to sign in."""
    return page(
        request,
        _SIGN_IN,
        "Your usage",
        status=status,
        **{
            "account_form": AuthenticationForm(request),
            "key_form": KeySignInForm(),
            "single_sign_on": bool(settings.OIDC_RP_CLIENT_ID),
            **context,
        },
    )


@require_POST
def account_sign_in(request: HttpRequest) -> HttpResponseBase:
    """Sign in with a user name and a password; wrong ones are limited by address."""
    form = AuthenticationForm(request, data=request.POST)
    if not form.is_valid():
        return sign_in_page(request, status=400, account_form=form)
    logout(request)
    login(request, form.get_user())
    return redirect("me:home")


@require_POST
def key_sign_in(request: HttpRequest) -> HttpResponseBase:
    """Begin a session of the API key in the form."""
    form = KeySignInForm(request.POST)
    key = key_find(form.cleaned_data["api_key"]) if form.is_valid() else None
    if form.is_valid() and (key is None or not key_admits(key, request)):
        why = key_problem(form.cleaned_data["api_key"])
        words = f"This API key is not valid here. {why} Ask who gave it to you for another."
        form.add_error("api_key", words)
    if key is None or form.errors:
        return sign_in_page(request, status=400, key_form=form)
    key_remember(request, key)
    return redirect("me:home")


@require_POST
def sign_out(request: HttpRequest) -> HttpResponseBase:
    """End the session."""
    logout(request)
    return redirect("me:home")


@require_http_methods(["GET", "HEAD", "POST"])
def invitation_page(request: HttpRequest, secret: str) -> HttpResponseBase:
    """Have an invited developer choose a password. Opening the link does not use it up."""
    invitation = invitation_find(secret)
    if invitation is None:
        problem = invitation_problem(secret)
        return page(
            request, "me/invitation.html", _NOT_OPEN[problem], status=404, problem=problem,
            single_sign_on=bool(settings.OIDC_RP_CLIENT_ID),
        )  # fmt: skip
    title = f"Welcome, {invitation.developer.name}"
    form = NewPasswordForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            account = invitation_accept(secret, form.cleaned_data["password"])
        except (InvitationError, ValidationError) as error:
            form.add_error("password", error if isinstance(error, ValidationError) else str(error))
        else:
            logout(request)
            login(request, account, backend=_PASSWORDS)
            return redirect("me:home")
    return page(
        request,
        "me/invitation.html",
        title,
        status=400 if form.errors else 200,
        form=form,
        invitation=invitation,
    )
