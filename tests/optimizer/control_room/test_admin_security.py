"""The admin on a network: passwords cannot be tried at leisure, pages load nothing foreign."""

from __future__ import annotations

from typing import Any

import pytest
from axes.models import AccessAttempt
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

pytestmark = pytest.mark.django_db
LOGIN = reverse("admin:login")


@pytest.fixture
def operator() -> User:
    return User.objects.create_superuser("ann", "ann@example.com", "the right one")


def try_login(password: str, address: str = "10.0.0.1", **headers: str) -> int:
    form = {"username": "ann", "password": password}
    return Client().post(LOGIN, form, REMOTE_ADDR=address, **headers).status_code


def test_after_ten_wrong_passwords_an_address_has_to_wait(operator: User) -> None:
    statuses = [try_login(f"wrong {n}") for n in range(11)]
    assert statuses[:9] == [200] * 9
    assert statuses[-1] == 429
    assert try_login("the right one") == 429
    # Others, at other addresses, are not locked out with it.
    assert try_login("the right one", "10.0.0.2") == 302


def test_the_right_password_forgives_the_wrong_ones(operator: User) -> None:
    for _ in range(3):
        assert [try_login("wrong") for _ in range(8)] == [200] * 8
        assert try_login("the right one") == 302


def test_behind_a_proxy_the_address_is_the_one_it_saw(operator: User, settings: Any) -> None:
    settings.TRUST_PROXY_HEADERS = True
    for n in range(10):
        # What a client says of itself stands before what the proxy adds.
        try_login("wrong", "10.0.0.9", HTTP_X_FORWARDED_FOR=f"192.0.2.{n}, 203.0.113.5")
    assert try_login("wrong", HTTP_X_FORWARDED_FOR="192.0.2.77, 203.0.113.5") == 429
    assert try_login("the right one", HTTP_X_FORWARDED_FOR="203.0.113.6") == 302


def test_passwords_that_were_tried_are_not_kept(operator: User) -> None:
    try_login("a secret mistyped")
    attempt = AccessAttempt.objects.get()
    assert "a secret mistyped" not in str(vars(attempt))


def test_the_admin_allows_nothing_foreign_and_nothing_inline(admin_client: Client) -> None:
    for page in (reverse("admin:index"), reverse("admin:analytics_requestrecord_changelist")):
        response = admin_client.get(page)
        policy = response["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert response["X-Frame-Options"] == "DENY"
        text = response.content.decode()
        assert "<style" not in text
        assert " style=" not in text
        assert "<script>" not in text


def test_cookies_are_out_of_scripts_reach(operator: User) -> None:
    response = Client().post(LOGIN, {"username": "ann", "password": "the right one"})
    assert response.cookies["sessionid"]["httponly"]
    assert response.cookies["sessionid"]["samesite"] == "Lax"
