"""Prove to AWS who calls: a signature of each request (SigV4), or an API key of Bedrock.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html and
https://docs.aws.amazon.com/bedrock/latest/userguide/api-keys.html
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from providers.clouds.credentials import Fetched

_SERVICE = "bedrock"
# What is signed may not change on the way; a proxy may change any other header.
_SIGNED = frozenset({"content-type", "accept"})
_LOOKED_AT_EVERY = 300.0
"""Seconds. Credentials that end are renewed by botocore a quarter of an hour before their end, if
they are looked at then."""


def aws_credentials() -> Any:
    """Return what fetches credentials from the environment, a profile, or the machine's role."""
    credentials: Any = None

    def fetch() -> Fetched[Any]:
        nonlocal credentials
        import botocore.session
        from botocore.credentials import RefreshableCredentials
        from botocore.exceptions import NoCredentialsError

        if credentials is None:
            credentials = botocore.session.Session().get_credentials()
        if credentials is None:
            raise NoCredentialsError
        frozen = credentials.get_frozen_credentials()
        if not isinstance(credentials, RefreshableCredentials):
            return Fetched(frozen)
        return Fetched(frozen, time.time() + _LOOKED_AT_EVERY)

    return fetch


def signed(
    credentials: Any, region: str, url: str, content: bytes, headers: Mapping[str, str]
) -> dict[str, str]:
    """Return ``headers`` with the signature of a POST of ``content`` to ``url``."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest

    kept = {name: value for name, value in headers.items() if name in _SIGNED}
    request = AWSRequest("POST", url, kept, content)
    SigV4Auth(credentials, _SERVICE, region).add_auth(request)
    return {**headers, **{name.lower(): value for name, value in request.headers.items()}}
