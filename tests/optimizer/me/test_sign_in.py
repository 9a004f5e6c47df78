"""Signing in to /me by key, invitation and password: what a session may do, and when it ends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.test import Client
from django.urls import reverse

from analytics.access.developers import developer_add, developer_disable, developer_of
from analytics.access.invitations import InvitationError, invitation_accept, invitation_make
from analytics.access.keys import key_make, key_revoke, key_rotate
from analytics.models import ApiKey, Developer, Invitation
from tests.factories import RequestRecordFactory
from tests.optimizer.me.conftest import PASSWORD, Person

pytestmark = pytest.mark.django_db
HOME = "/me/"


def by_key(secret: str, client: Client | None = None) -> Client:
    client = client or Client()
    answer = client.post(reverse("me:key_sign_in"), {"api_key": secret})
    assert (answer.status_code, answer["Location"]) == (302, HOME)
    return client


def link_to(developer: Developer) -> str:
    return reverse("me:invitation", args=[invitation_make(developer)])


class TestByKey:
    def test_it_shows_what_was_asked_and_never_the_key_again(self, ann: Person) -> None:
        client = by_key(ann.secret)
        for name in ("home", "requests", "sessions", "keys"):
            answer = client.get(reverse(f"me:{name}"))
            assert answer.status_code == 200
            assert ann.secret not in answer.content.decode()
            assert answer["Cache-Control"] == "no-store"
        assert "$0.25" in client.get(HOME).content.decode()
        stored = Session.objects.get().get_decoded()
        assert ann.secret not in str(stored)

    def test_a_wrong_key_is_not_repeated(self, ann: Person) -> None:
        wrong = f"{ann.secret[:-4]}nope"
        answer = Client().post(reverse("me:key_sign_in"), {"api_key": wrong})
        assert answer.status_code == 400
        assert "not valid" in answer.content.decode()
        assert wrong not in answer.content.decode()

    def test_a_key_that_ended_says_so_to_who_has_it(self, ann: Person) -> None:
        def words() -> str:
            answer = Client().post(reverse("me:key_sign_in"), {"api_key": ann.secret})
            assert answer.status_code == 400
            return answer.content.decode()

        ApiKey.objects.update(addresses=["192.0.2.0/24"])
        assert "not be used from this address" in words()
        ApiKey.objects.update(expires_at=datetime(2026, 1, 2, tzinfo=UTC))
        assert "It expired on 2026-01-02." in words()
        key_revoke(ann.key)
        assert "It was revoked on" in words()

    @pytest.mark.parametrize("typed", ["", "x" * 5000, "aco_\x00", "ключ"])
    def test_anything_else_is_no_key_either(self, typed: str) -> None:
        answer = Client().post(reverse("me:key_sign_in"), {"api_key": typed})
        assert answer.status_code == 400

    def test_it_ends_when_the_key_is_revoked(self, ann: Person) -> None:
        client = by_key(ann.secret)
        key_revoke(ann.key)
        assert client.get(reverse("me:requests"))["Location"] == HOME
        assert "With an API key" in client.get(HOME).content.decode()
        # Nor does it come back with the row.
        ApiKey.objects.update(revoked_at=None)
        assert client.get(reverse("me:requests")).status_code == 302

    def test_it_ends_when_the_key_expires(self, ann: Person) -> None:
        client = by_key(ann.secret)
        ApiKey.objects.update(expires_at=datetime.now(UTC) - timedelta(seconds=1))
        assert client.get(reverse("me:requests")).status_code == 302
        answer = client.post(reverse("me:key_sign_in"), {"api_key": ann.secret})
        assert answer.status_code == 400

    def test_its_id_is_new_so_that_nobody_can_choose_it(self, ann: Person, bob: Person) -> None:
        client = bob.browser
        planted = client.cookies["sessionid"].value
        by_key(ann.secret, client)
        assert client.cookies["sessionid"].value != planted
        assert not Session.objects.filter(session_key=planted).exists()
        text = client.get(HOME).content.decode()
        assert "ann: laptop" in text
        assert "bob" not in text
        by_key(ann.secret, client)
        assert Session.objects.count() == 1
        made_up = Client()
        made_up.cookies["sessionid"] = "a" * 32
        by_key(ann.secret, made_up)
        assert made_up.cookies["sessionid"].value != "a" * 32

    def test_it_is_served_only_where_the_key_is(self) -> None:
        made = key_make(ApiKey(name="office", addresses=["192.0.2.0/24"]))
        form = {"api_key": made.secret}
        assert Client().post(reverse("me:key_sign_in"), form).status_code == 400
        client = Client(REMOTE_ADDR="192.0.2.7")
        by_key(made.secret, client)
        assert client.get(HOME, REMOTE_ADDR="198.51.100.1").status_code == 200
        assert client.get(reverse("me:keys")).status_code == 302, "The session has ended."

    def test_it_changes_nothing(self, ann: Person) -> None:
        client = by_key(ann.secret)
        for name, args in (
            ("key_make", []), ("key_rotate", [ann.key.pk]), ("key_revoke", [ann.key.pk]),
        ):  # fmt: skip
            answer = client.post(reverse(f"me:{name}", args=args), {"label": "more"})
            assert answer.status_code == 403
        assert ApiKey.objects.filter(revoked_at=None).count() == 1

    def test_it_opens_no_page_of_the_admin(self, ann: Person) -> None:
        assert by_key(ann.secret).get("/admin/").status_code == 302

    def test_a_user_without_a_team_keeps_the_history_of_replaced_keys(self) -> None:
        made = key_make(ApiKey(name="alone", user="eve"))

        RequestRecordFactory(
            api_key=made.key.prefix, tenant=f"key:{made.key.prefix}", user_id="eve"
        )
        successor = key_rotate(made.key, timedelta(hours=1))
        page = by_key(successor.secret).get(reverse("me:requests")).content.decode()
        assert page.count("/me/requests/0") == 1


class TestForgery:
    def test_every_change_needs_the_form_s_token(self, ann: Person) -> None:
        strict = Client(enforce_csrf_checks=True)
        for name, args in (
            ("key_sign_in", []), ("sign_in", []), ("sign_out", []), ("key_make", []),
            ("key_rotate", [ann.key.pk]), ("key_revoke", [ann.key.pk]),
        ):  # fmt: skip
            strict.force_login(ann.account)
            answer = strict.post(
                reverse(f"me:{name}", args=args), {"label": "x", "api_key": ann.secret}
            )
            assert answer.status_code == 403, name
        assert ApiKey.objects.get().revoked_at is None
        guest = Developer.objects.create(name="eve")
        answer = strict.post(link_to(guest), {"password": PASSWORD, "again": PASSWORD})
        assert answer.status_code == 403
        assert not Invitation.objects.get().used_at

    def test_nothing_changes_by_opening_an_address(self, ann: Person) -> None:
        for name, args in (
            ("sign_out", []), ("key_make", []), ("key_rotate", [ann.key.pk]),
            ("key_revoke", [ann.key.pk]),
        ):  # fmt: skip
            assert ann.browser.get(reverse(f"me:{name}", args=args)).status_code == 405

    def test_pages_have_the_policy_of_the_admin(self, ann: Person) -> None:
        answer = ann.browser.get(HOME)
        assert "script-src 'self'" in answer["Content-Security-Policy"]
        assert answer["X-Frame-Options"] == "DENY"
        assert "<script>" not in answer.content.decode()
        assert " style=" not in answer.content.decode()


class TestInvitation:
    def test_it_works_once(self) -> None:
        developer = developer_add(Developer(name="eve"))
        link, client = link_to(developer), Client()
        # Programs that look at links in messages use nothing up.
        assert client.get(link).status_code == client.head(link).status_code == 200
        form = {"password": PASSWORD, "again": PASSWORD}
        assert client.post(link, form)["Location"] == HOME
        assert client.get(reverse("me:keys")).status_code == 200
        account = User.objects.get(username="eve")
        assert (account.is_staff, account.is_superuser) == (False, False)
        assert client.get("/admin/").status_code == 302
        again = {"password": "another-lamp-41", "again": "another-lamp-41"}
        assert Client().get(link).status_code == Client().post(link, again).status_code == 404
        signed_in = Client().post(reverse("me:sign_in"), {"username": "eve", "password": PASSWORD})
        assert signed_in["Location"] == HOME

    def test_only_its_digest_is_stored(self) -> None:
        secret = invitation_make(developer_add(Developer(name="eve")))
        assert secret not in str(Invitation.objects.values())
        assert len(secret) >= 43

    def test_it_expires_and_a_new_one_ends_it(self) -> None:
        developer = developer_add(Developer(name="eve"))
        old = link_to(developer)
        new = link_to(developer)
        assert Client().get(old).status_code == 404
        assert Client().get(new).status_code == 200
        Invitation.objects.update(expires_at=datetime.now(UTC))
        assert Client().get(new).status_code == 404

    def test_a_link_that_is_not_open_says_why_and_what_to_do(self) -> None:
        developer = developer_add(Developer(name="eve"))
        old, link = link_to(developer), link_to(developer)

        def words(address: str) -> str:
            answer = Client().get(address)
            assert answer.status_code == 404
            return answer.content.decode()

        assert "This invitation has expired" in words(old)
        assert "does not exist" in words(f"{link[:-2]}/")
        Client().post(link, {"password": PASSWORD, "again": PASSWORD})
        used = words(link)
        assert "This invitation was used" in used
        assert "forgotten the password" in used
        account = User.objects.get()
        account.set_unusable_password()
        account.save()
        assert "You sign in by single sign-on" in words(link)
        developer_disable(developer)
        assert "Your access has ended" in words(link)

    def test_somebody_else_who_opens_it_is_warned(self, ann: Person) -> None:
        link = link_to(developer_add(Developer(name="eve")))
        assert "You are signed in as ann" in ann.browser.get(link).content.decode()
        assert "You are signed in" not in Client().get(link).content.decode()

    def test_a_weak_password_leaves_it_open(self) -> None:
        link = link_to(developer_add(Developer(name="eve")))
        for form in ({"password": "12345", "again": "12345"}, {"password": "a", "again": "b"}):
            assert Client().post(link, form).status_code == 400
        assert Client().get(link).status_code == 200
        assert not User.objects.exists()

    def test_again_it_sets_a_new_password_and_ends_other_sessions(self, ann: Person) -> None:
        elsewhere = ann.browser
        form = {"password": "another-lamp-41", "again": "another-lamp-41"}
        assert Client().post(link_to(ann.developer), form).status_code == 302
        assert elsewhere.get(reverse("me:keys")).status_code == 302

    @pytest.mark.parametrize("field", ["is_staff", "is_superuser"])
    def test_it_never_opens_the_account_of_somebody_with_a_role(
        self, ann: Person, field: str
    ) -> None:
        before = invitation_make(ann.developer)
        User.objects.update(**{field: True})
        ann.developer.refresh_from_db()
        with pytest.raises(InvitationError):
            invitation_make(ann.developer)
        with pytest.raises(InvitationError):
            invitation_accept(before, "another-lamp-41")
        root = User.objects.create_superuser("root", password=PASSWORD)
        with pytest.raises(InvitationError, match="Another account"):
            invitation_make(developer_add(Developer(name="root")))
        assert developer_of(root) is None

    def test_nor_one_of_single_sign_on_or_one_that_is_closed(self, ann: Person) -> None:
        ann.account.set_unusable_password()
        ann.account.save()
        with pytest.raises(InvitationError):
            invitation_make(Developer.objects.get())
        link = None
        ann.account.set_password(PASSWORD)
        ann.account.save()
        link = link_to(Developer.objects.get())
        developer_disable(ann.developer)
        assert Client().get(link).status_code == 404
        with pytest.raises(InvitationError, match="has ended"):
            invitation_make(Developer.objects.get())


class TestAccount:
    def test_ten_wrong_passwords_make_an_address_wait(self, ann: Person) -> None:
        form = {"username": "ann", "password": "wrong"}
        statuses = [Client().post(reverse("me:sign_in"), form).status_code for _ in range(11)]
        assert statuses[0] == 400
        assert statuses[-1] == 429

    def test_access_that_was_ended_ends_the_session_and_the_keys(self, ann: Person) -> None:
        browser = ann.browser
        assert developer_disable(ann.developer) == 1
        assert browser.get(reverse("me:keys")).status_code == 302
        assert "its access has ended" in browser.get(HOME).content.decode()
        assert ApiKey.objects.get().revoked_at is not None

    def test_whoever_signs_out_is_out(self, ann: Person) -> None:
        browser = ann.browser
        assert browser.post(reverse("me:sign_out"))["Location"] == HOME
        assert browser.get(reverse("me:keys")).status_code == 302

    def test_an_operator_without_keys_is_told_how_to_get_in(self) -> None:
        client = Client()
        client.force_login(User.objects.create_superuser("root"))
        assert "An operator adds you" in client.get(HOME).content.decode()
