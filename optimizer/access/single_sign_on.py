"""Signing in to the admin through an OpenID Connect provider: who is let in, and as what.

The protocol is mozilla-django-oidc's, with PKCE, nonce and signed tokens. A user is
known by the provider's ``sub``, which unlike an e-mail address is never given to
another, and has the role that the provider's groups give, as long as they do.
"""

from __future__ import annotations

import logging
from typing import Any

import jwt
import requests
from django.conf import settings
from django.contrib.auth.models import Group
from django.core.exceptions import SuspiciousOperation
from django.http import HttpRequest
from mozilla_django_oidc.auth import OIDCAuthenticationBackend

from analytics.access.roles import ADMINISTRATOR, ROLES

_FAILURES = (
    requests.RequestException,
    jwt.PyJWTError,
    SuspiciousOperation,
    ValueError,
    KeyError,
)

logger = logging.getLogger(__name__)


class SingleSignOn(OIDCAuthenticationBackend):
    """Lets in the members of ``OIDC_ROLES``' groups, by the claim ``OIDC_GROUPS_CLAIM``; of
    several roles, the one that may most counts.
    """

    def authenticate(self, request: HttpRequest | None, **kwargs: Any) -> Any:
        """The user, or ``None``: a provider that fails or lies is no server error of ours."""
        try:
            return super().authenticate(request, **kwargs)
        except _FAILURES as error:
            # The type alone: the message may hold a token.
            logger.warning("Single sign-on failed: %s", type(error).__name__)
            return None

    def verify_token(self, token: str, **kwargs: Any) -> Any:
        """Also whom the token is for and who issued it (OpenID Connect Core, 3.1.3.7)."""
        payload = super().verify_token(token, **kwargs)
        audience = payload.get("aud")
        if settings.OIDC_RP_CLIENT_ID not in (
            audience if isinstance(audience, list) else [audience]
        ):
            raise SuspiciousOperation("the token is for another client")
        if payload.get("iss") != settings.OIDC_ISSUER:
            raise SuspiciousOperation("the token is of another issuer")
        return payload

    def verify_claims(self, claims: dict[str, Any]) -> bool:
        allowed = bool(claims.get("sub")) and _role(claims) is not None
        if not allowed:
            # Whoever was let in before is so no longer.
            self.filter_users_by_claims(claims).update(is_staff=False, is_superuser=False)
            logger.warning("Single sign-on refused somebody who is in none of its groups")
        return allowed

    def filter_users_by_claims(self, claims: dict[str, Any]) -> Any:
        if not claims.get("sub"):
            return self.UserModel.objects.none()
        return self.UserModel.objects.filter(username=_username(claims))

    def create_user(self, claims: dict[str, Any]) -> Any:
        user = self.UserModel(username=_username(claims))
        user.set_unusable_password()
        return self.update_user(user, claims)

    def update_user(self, user: Any, claims: dict[str, Any]) -> Any:
        user.email = str(claims.get("email") or "")
        user.first_name = str(claims.get("given_name") or claims.get("name") or "")[:150]
        user.last_name = str(claims.get("family_name") or "")[:150]
        role = _role(claims)
        user.is_staff, user.is_superuser = True, role == ADMINISTRATOR
        user.save()
        user.groups.set(Group.objects.filter(name=role))
        return user


def _role(claims: dict[str, Any]) -> str | None:
    groups = claims.get(settings.OIDC_GROUPS_CLAIM) or []
    wanted = ((role, settings.OIDC_ROLES.get(role)) for role in ROLES)
    return next((role for role, group in wanted if group and group in groups), None)


def _username(claims: dict[str, Any]) -> str:
    return f"sso:{claims['sub']}"[:150]
