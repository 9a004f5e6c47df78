"""Paths of the pages at /me."""

from __future__ import annotations

from django.urls import path

from optimizer.me.history import request_page, requests_page, session_page, sessions_page
from optimizer.me.home import home
from optimizer.me.keys import key_make_view, key_revoke_view, key_rotate_view, keys_page
from optimizer.me.sign_in import (
    account_sign_in,
    invitation_page,
    key_sign_in,
    sign_out,
)
from optimizer.me.sign_on_failures import sign_on_failed

urlpatterns = [
    path("", home, name="home"),
    path("requests/", requests_page, name="requests"),
    path("requests/<uuid:request_id>/", request_page, name="request"),
    path("sessions/", sessions_page, name="sessions"),
    path("session/", session_page, name="session"),
    path("keys/", keys_page, name="keys"),
    path("keys/make/", key_make_view, name="key_make"),
    path("keys/<int:pk>/rotate/", key_rotate_view, name="key_rotate"),
    path("keys/<int:pk>/revoke/", key_revoke_view, name="key_revoke"),
    path("sign-in/", account_sign_in, name="sign_in"),
    path("sign-in/key/", key_sign_in, name="key_sign_in"),
    path("sign-in/failed/", sign_on_failed, name="sign_on_failed"),
    path("sign-out/", sign_out, name="sign_out"),
    path("invitation/<str:secret>/", invitation_page, name="invitation"),
]
