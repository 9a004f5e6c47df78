"""The page that says why single sign-on failed, and what to do next."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_safe

from optimizer.me.visitor import page


@dataclass(frozen=True, slots=True)
class SignOnFailure:
    """A way in which single sign-on fails: what happened, and what the user can do."""

    status: int
    title: str
    words: str
    steps: tuple[str, ...]


_AGAIN = "Try again."
_FAILURES = {
    "no-group": SignOnFailure(
        403,
        "Your account has no access yet",
        "Your identity provider knows you, but your account is in none of the groups that may "
        "use this service.",
        (
            (
                "Ask an administrator of this service, or of your identity provider, to add you to "
                "one of its groups. Then try again."
            ),
            (
                "If you have several accounts, sign out at your identity provider, and try again "
                "with the other one."
            ),
        ),
    ),
    "refused": SignOnFailure(
        403,
        "Your identity provider did not let you in",
        "It refused the sign-in, or you have cancelled it.",
        (
            "Try again, and agree where it asks.",
            "If it refuses again, ask your company's help desk for access to this service.",
        ),
    ),
    "expired": SignOnFailure(
        400,
        "This sign-in is no longer open",
        "It was begun too long ago, in another browser, or used before. A page that was opened "
        "from a bookmark or by the back button does that, too.",
        (_AGAIN, "If it fails again, allow cookies for this site."),
    ),
    "provider": SignOnFailure(
        400,
        "Your identity provider could not be asked",
        "It reported an error, or its answer could not be verified. Nobody was signed in.",
        (
            "Try again in a few minutes.",
            (
                "If it goes on, tell an operator the time: the log of the service names the kind "
                "of error. They check the client's secret, the issuer and the provider's addresses."
            ),
        ),
    ),
    "closed": SignOnFailure(
        403,
        "Your account is closed here",
        "An administrator has closed it.",
        ("If that is a mistake, ask an administrator of this service to open it again.",),
    ),
}


@require_safe
def sign_on_failed(request: HttpRequest) -> HttpResponseBase:
    """Explain the failure that the query names; without one, lead to the sign-in."""
    failure = _FAILURES.get(request.GET.get("why", ""))
    if failure is None:
        return redirect("me:home")
    wanted = request.GET.get("next", "")
    safe = url_has_allowed_host_and_scheme(wanted, {request.get_host()}, request.is_secure())
    return page(
        request,
        "me/sign_on_failed.html",
        failure.title,
        status=failure.status,
        failure=failure,
        next=wanted if safe else "",
        single_sign_on=bool(settings.OIDC_RP_CLIENT_ID),
    )
