"""Single sign-on to the admin and to /me through an OpenID Connect provider.

mozilla-django-oidc implements the protocol, with PKCE, nonce and signed tokens. The provider's
``sub`` identifies a user: unlike an e-mail address, it is never given to another person. The
provider's groups give the role, which ends when the user leaves the group. Members of the
developers' group see /me alone; those with a role see it, too.
"""

from __future__ import annotations

import logging
from typing import Any

import jwt
import requests
from django.conf import settings
from django.contrib.auth.models import Group
from django.core.exceptions import SuspiciousOperation
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.utils.http import urlencode
from mozilla_django_oidc.auth import OIDCAuthenticationBackend
from mozilla_django_oidc.views import OIDCAuthenticationCallbackView

from analytics.access.developers import developer_join, developers_left
from analytics.access.roles import ADMINISTRATOR, ROLES

_FAILURES = (
    requests.RequestException,
    jwt.PyJWTError,
    SuspiciousOperation,
    ValueError,
    KeyError,
)

_DEVELOPER = "developer"
NO_GROUP, PROVIDER, REFUSED, EXPIRED, CLOSED = (
    "no-group", "provider", "refused", "expired", "closed",
)  # fmt: skip
"""Why a sign-in failed, as the page that explains it is told."""

_WHY = "sign_on_failure"
_EVERYBODY = "*"
"""As the developers' group: everybody whom the provider knows."""

logger = logging.getLogger(__name__)


class SingleSignOn(OIDCAuthenticationBackend):
    """Signs in the members of the groups in ``OIDC_ROLES``.

    ``OIDC_GROUPS_CLAIM`` names the claim with a user's groups. A user with several roles gets
    the one with the most permissions.
    """

    def authenticate(self, request: HttpRequest | None, **kwargs: Any) -> Any:
        """Return the user, or ``None``: a provider's failure or false token is no server error."""
        try:
            return super().authenticate(request, **kwargs)
        except _FAILURES as error:
            # Only the type is logged: the message may contain a token.
            logger.warning("Single sign-on failed: %s", type(error).__name__)
            _say_why(request, PROVIDER)
            return None

    def verify_token(self, token: str, **kwargs: Any) -> Any:
        """Verify the token, its audience and its issuer (OpenID Connect Core, 3.1.3.7).

        Raises ``SuspiciousOperation``.
        """
        payload = super().verify_token(token, **kwargs)
        audience = payload.get("aud")
        if settings.OIDC_RP_CLIENT_ID not in (
            audience if isinstance(audience, list) else [audience]
        ):
            raise SuspiciousOperation("the token is for another client")
        if payload.get("iss") != settings.OIDC_ISSUER:
            raise SuspiciousOperation("the token is from another issuer")
        return payload

    def verify_claims(self, claims: dict[str, Any]) -> bool:
        """Return whether the user is in a group with a role; if not, revoke the access."""
        allowed = bool(claims.get("sub")) and _role(claims) is not None
        if not allowed:
            # A user who was in one of the groups before loses the access.
            users = self.filter_users_by_claims(claims)
            developers_left(users)
            users.update(is_staff=False, is_superuser=False)
            logger.warning("Single sign-on refused a user who is in none of its groups")
            _say_why(self.request, NO_GROUP)
        return allowed

    def filter_users_by_claims(self, claims: dict[str, Any]) -> Any:
        """Return the users with the ``sub`` of ``claims``: one or none."""
        if not claims.get("sub"):
            return self.UserModel.objects.none()
        return self.UserModel.objects.filter(username=_username(claims))

    def create_user(self, claims: dict[str, Any]) -> Any:
        """Create a user without a password."""
        user = self.UserModel(username=_username(claims))
        user.set_unusable_password()
        return self.update_user(user, claims)

    def update_user(self, user: Any, claims: dict[str, Any]) -> Any:
        """Set the user's name, e-mail address and role from ``claims``."""
        user.email = str(claims.get("email") or "")
        user.first_name = str(claims.get("given_name") or claims.get("name") or "")[:150]
        user.last_name = str(claims.get("family_name") or "")[:150]
        role = _role(claims)
        user.is_staff, user.is_superuser = role != _DEVELOPER, role == ADMINISTRATOR
        user.save()
        user.groups.set(Group.objects.filter(name=role))
        developer_join(account=user, name=_developer_name(claims))
        return user


class SignOnCallback(OIDCAuthenticationCallbackView):
    """Receives the provider's answer. A failure leads to a page that says what to do next."""

    def get(self, request: HttpRequest) -> HttpResponseBase:
        """Sign the user in, or lead to the page of failures."""
        if error := request.GET.get("error"):
            # RFC 6749, 4.1.2.1, and OpenID Connect Core, 3.1.2.6: what the user refuses or lacks.
            theirs = error in ("access_denied", "consent_required", "interaction_required")
            _say_why(request, REFUSED if theirs else PROVIDER)
        try:
            return super().get(request)  # type: ignore[no-any-return]
        except SuspiciousOperation:  # an answer to a sign-in that this browser did not begin
            return self.login_failure()

    def login_failure(self) -> HttpResponseBase:
        """Return the way to the page that explains the failure."""
        user = getattr(self, "user", None)
        why = CLOSED if user is not None else getattr(self.request, _WHY, EXPIRED)
        wanted = self.request.session.get("oidc_login_next") or ""
        query = urlencode({"why": why, "next": wanted})
        return HttpResponseRedirect(f"{settings.LOGIN_REDIRECT_URL_FAILURE}?{query}")


def _say_why(request: HttpRequest | None, why: str) -> None:
    if request is not None:
        setattr(request, _WHY, why)


def _role(claims: dict[str, Any]) -> str | None:
    groups = claims.get(settings.OIDC_GROUPS_CLAIM) or []
    role_groups = ((role, settings.OIDC_ROLES.get(role)) for role in (*ROLES, _DEVELOPER))
    return next(
        (
            role
            for role, group in role_groups
            if group and (group in groups or (role == _DEVELOPER and group == _EVERYBODY))
        ),
        None,
    )


def _developer_name(claims: dict[str, Any]) -> str:
    """Return the name for the user's requests; empty if no claim says one that is theirs."""
    if settings.OIDC_USER_CLAIM:
        return str(claims.get(settings.OIDC_USER_CLAIM) or "")
    # Anybody may claim an address that the provider has not verified.
    return str(claims.get("email") or "").lower() if claims.get("email_verified") is True else ""


def _username(claims: dict[str, Any]) -> str:
    return f"sso:{claims['sub']}"[:150]
