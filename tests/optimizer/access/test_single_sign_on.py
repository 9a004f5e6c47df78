"""Single sign-on: the whole flow over HTTP against a provider that may lie."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from django.contrib.auth.models import User
from django.test import Client
from django.urls import clear_url_caches, set_urlconf

import optimizer.urls
from analytics.access.developers import developer_add, developer_disable
from analytics.models import Developer, KeyTemplate
from tests.fakes.identity import CLIENT, SECRET, FakeIdentity

pytestmark = pytest.mark.django_db
FAILED = "/me/sign-in/failed/"


@pytest.fixture
def identity(settings: Any) -> Iterator[FakeIdentity]:
    with FakeIdentity() as fake:
        settings.OIDC_RP_CLIENT_ID, settings.OIDC_RP_CLIENT_SECRET = CLIENT, SECRET
        settings.OIDC_ISSUER = fake.url
        settings.OIDC_OP_AUTHORIZATION_ENDPOINT = f"{fake.url}/authorize"
        settings.OIDC_OP_TOKEN_ENDPOINT = f"{fake.url}/token"
        settings.OIDC_OP_USER_ENDPOINT = f"{fake.url}/userinfo"
        settings.OIDC_OP_JWKS_ENDPOINT = f"{fake.url}/jwks"
        settings.OIDC_ROLES = {
            "administrator": "operators", "viewer": "finance", "analyst": "", "developer": "",
        }  # fmt: skip
        settings.OIDC_USER_CLAIM = ""
        settings.OIDC_GROUPS_CLAIM = "groups"
        settings.OIDC_RP_SIGN_ALGO, settings.OIDC_USE_PKCE = "RS256", True
        settings.LOGIN_REDIRECT_URL, settings.LOGIN_REDIRECT_URL_FAILURE = "/admin/", FAILED
        settings.OIDC_CALLBACK_CLASS = "optimizer.access.single_sign_on.SignOnCallback"
        settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "mozilla_django_oidc"]
        settings.AUTHENTICATION_BACKENDS = [
            *settings.AUTHENTICATION_BACKENDS, "optimizer.access.single_sign_on.SingleSignOn",
        ]  # fmt: skip
        _reload_urls()
        yield fake
    settings.OIDC_RP_CLIENT_ID = ""
    _reload_urls()


def _reload_urls() -> None:
    importlib.reload(optimizer.urls)
    clear_url_caches()
    set_urlconf(None)


def sign_in(identity: FakeIdentity, client: Client, query: str = "") -> str:
    """Where somebody ends who signs in."""
    begun = client.get(f"/admin/sso/authenticate/{query}")
    assert begun.status_code == 302
    back = identity.authorize(begun["Location"])
    return str(client.get(back.removeprefix("http://testserver"))["Location"])


def failed(why: str, wanted: str = "") -> str:
    return f"{FAILED}?why={why}&next={quote(wanted, safe='')}"


def test_a_member_of_the_group_is_let_in_as_an_administrator(identity: FakeIdentity) -> None:
    client = Client()
    page = client.get("/admin/login/").content.decode()
    assert "/admin/sso/authenticate/" in page
    assert sign_in(identity, client) == "/admin/"
    assert client.get("/admin/").status_code == 200
    user = User.objects.get()
    assert (user.username, user.email, user.first_name) == ("sso:42", "ann@example.com", "Ann")
    assert user.is_superuser
    assert not user.has_usable_password()
    # The same person with another address is the same user.
    identity.claims["email"] = "ann@example.org"
    assert sign_in(identity, Client()) == "/admin/"
    assert User.objects.get().email == "ann@example.org"


def test_one_is_led_back_to_the_page_one_wanted_but_to_no_other_host(
    identity: FakeIdentity,
) -> None:
    page = "/admin/analytics/budget/"
    assert sign_in(identity, Client(), f"?next={page}") == page
    assert sign_in(identity, Client(), "?next=https://evil.example/") == "/admin/"


def test_a_group_may_be_a_lesser_role_and_the_greatest_counts(identity: FakeIdentity) -> None:
    identity.claims["groups"] = ["finance", "", "guests"]
    client = Client()
    assert sign_in(identity, client) == "/admin/"
    user = User.objects.get()
    assert (user.is_superuser, [group.name for group in user.groups.all()]) == (False, ["viewer"])
    assert client.get("/admin/analytics/budget/").status_code == 200
    assert client.get("/admin/analytics/budget/add/").status_code == 403
    identity.claims["groups"] = ["finance", "operators"]
    sign_in(identity, client)
    user.refresh_from_db()
    assert (user.is_superuser, user.groups.count()) == (True, 0)


def test_others_are_not_let_in(identity: FakeIdentity) -> None:
    identity.claims["groups"] = ["guests"]
    client = Client()
    assert sign_in(identity, client, "?next=/me/") == failed("no-group", "/me/")
    page = client.get(failed("no-group", "/me/"))
    assert page.status_code == 403
    assert "in none of the groups" in page.content.decode()
    assert "/admin/sso/authenticate/?next=/me/" in page.content.decode()
    assert not User.objects.exists()


def test_whoever_leaves_the_group_is_an_administrator_no_longer(identity: FakeIdentity) -> None:
    client = Client()
    sign_in(identity, client)
    identity.claims["groups"] = []
    assert sign_in(identity, Client()) == failed("no-group")
    assert not User.objects.get().is_staff
    assert client.get("/admin/").status_code == 302


def test_an_account_of_ours_with_the_same_address_is_not_taken_over(
    identity: FakeIdentity,
) -> None:
    User.objects.create_user("root", "ann@example.com", "a password")
    assert sign_in(identity, Client()) == "/admin/"
    assert not User.objects.get(username="root").is_staff


def test_a_developer_comes_to_their_own_page_and_no_further(
    identity: FakeIdentity, settings: Any
) -> None:
    settings.OIDC_ROLES["developer"] = "engineers"
    template = KeyTemplate.objects.create(name="all", for_single_sign_on=True)
    identity.claims |= {"groups": ["engineers"], "email_verified": True}
    client = Client()
    assert "/admin/sso/authenticate/" in client.get("/me/").content.decode()
    assert sign_in(identity, client, "?next=/me/") == "/me/"
    developer = Developer.objects.get()
    assert (developer.name, developer.template) == ("ann@example.com", template)
    assert client.get("/me/keys/").status_code == 200
    user = User.objects.get()
    assert (user.is_staff, user.is_superuser, user.groups.count()) == (False, False, 0)
    assert client.get("/admin/").status_code == 302
    # Whoever leaves the group is out, and in again on return.
    identity.claims["groups"] = []
    sign_in(identity, Client())
    assert client.get("/me/keys/").status_code == 302
    identity.claims["groups"] = ["engineers"]
    sign_in(identity, client, "?next=/me/")
    assert client.get("/me/keys/").status_code == 200
    # Unless an operator has ended the access.
    developer_disable(developer)
    sign_in(identity, client, "?next=/me/")
    assert client.get("/me/keys/").status_code == 302


def test_nobody_becomes_another_developer_by_a_claim_of_their_own(
    identity: FakeIdentity, settings: Any
) -> None:
    settings.OIDC_ROLES["developer"] = "*"
    identity.claims["groups"] = []
    theirs = developer_add(Developer(name="ann@example.com"))
    for verified in (False, None, "true"):
        identity.claims["email_verified"] = verified
        sign_in(identity, Client())
    theirs.refresh_from_db()
    assert theirs.account is None
    assert Developer.objects.get(account__isnull=False).name == "sso:42"
    settings.OIDC_USER_CLAIM = "login"
    identity.claims |= {"sub": "43", "login": "ann"}
    sign_in(identity, Client())
    assert Developer.objects.get(name="ann").account.username == "sso:43"
    identity.claims["sub"] = "44"
    sign_in(identity, Client())
    assert Developer.objects.get(name="sso:44").account.username == "sso:44"


@pytest.mark.parametrize(
    "lie",
    [
        {"aud": "another-client"},
        {"iss": "https://elsewhere.example"},
        {"nonce": "another's"},
        {"exp": 1},
    ],
)
def test_a_token_for_another_is_refused(identity: FakeIdentity, lie: dict[str, Any]) -> None:
    identity.token = lie
    assert sign_in(identity, Client()) == failed("provider")
    assert not User.objects.exists()


def test_a_token_signed_by_another_is_refused(
    identity: FakeIdentity, monkeypatch: pytest.MonkeyPatch
) -> None:
    published = identity.jwks()
    monkeypatch.setattr(identity, "jwks", lambda: published)
    identity.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    assert sign_in(identity, Client()) == failed("provider")


def test_an_answer_to_another_s_sign_in_is_refused(identity: FakeIdentity) -> None:
    begun = Client().get("/admin/sso/authenticate/")
    back = identity.authorize(begun["Location"]).removeprefix("http://testserver")
    assert Client().get(back)["Location"] == failed("expired")
    other = Client()
    other.get("/admin/sso/authenticate/")
    assert other.get(back)["Location"] == failed("expired")


def test_a_provider_that_fails_is_no_error_of_ours(identity: FakeIdentity) -> None:
    identity.broken = True
    assert sign_in(identity, Client()) == failed("provider")


@pytest.mark.parametrize(
    ("error", "why"),
    [("access_denied", "refused"), ("server_error", "provider"), ("<script>", "provider")],
)
def test_an_error_of_the_provider_leads_to_a_page(
    identity: FakeIdentity, error: str, why: str
) -> None:
    client = Client()
    client.get("/admin/sso/authenticate/?next=/admin/")
    answer = client.get("/admin/sso/callback/", {"error": error, "state": "x"})
    assert answer["Location"] == failed(why, "/admin/")
    page = client.get(answer["Location"]).content.decode()
    assert "What you can do" in page
    assert error not in page or error == "access_denied"


def test_a_closed_account_is_told_so(identity: FakeIdentity) -> None:
    sign_in(identity, Client())
    User.objects.update(is_active=False)
    assert sign_in(identity, Client()) == failed("closed")


def test_a_made_up_failure_leads_nowhere_else() -> None:
    assert Client().get(f"{FAILED}?why=nothing")["Location"] == "/me/"
    page = Client().get(f"{FAILED}?why=refused&next=https://evil.example/")
    assert page.status_code == 403
    assert "evil.example" not in page.content.decode()


def test_without_a_provider_there_is_no_such_thing() -> None:
    assert "/admin/sso/" not in Client().get("/admin/login/").content.decode()
    assert Client().get("/admin/sso/authenticate/").status_code in (302, 404)
