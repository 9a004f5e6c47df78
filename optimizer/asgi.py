"""The ASGI application: limits, the gatekeeper, the fast path, static files, then Django."""

from __future__ import annotations

import os
from typing import cast

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "optimizer.settings")

from django.core.asgi import get_asgi_application

_django = get_asgi_application()

from django.conf import settings  # noqa: E402 - Django must be set up first
from django.contrib.staticfiles.finders import get_finders  # noqa: E402
from servestatic import ServeStaticASGI  # noqa: E402

from optimizer.api.endpoints import endpoints_of  # noqa: E402
from optimizer.server.body_limit import BodyLimit  # noqa: E402
from optimizer.server.compressed_static import CompressedStatic  # noqa: E402
from optimizer.server.errors import App  # noqa: E402
from optimizer.server.fast_path import FastPath  # noqa: E402
from optimizer.server.gatekeeper import Gatekeeper  # noqa: E402
from optimizer.server.lifespan import Lifespan  # noqa: E402


def _with_static_files(app: App) -> App:
    """Serve the files of the admin and Swagger UI straight from the installed packages."""
    static = ServeStaticASGI(app, max_age=3600)
    for finder in get_finders():
        for storage in getattr(finder, "storages", {}).values():
            prefix = getattr(storage, "prefix", "")
            static.add_files(storage.location, prefix=f"{settings.STATIC_URL}{prefix}")
    return CompressedStatic(app, static, f"/{settings.STATIC_URL.lstrip('/')}")


_fast_path = FastPath(_with_static_files(Lifespan(cast("App", _django))), endpoints_of)
_guarded = Gatekeeper(
    _fast_path,
    most_bytes=settings.MAX_BODY_BYTES,
    behind_proxy=settings.TRUST_PROXY_HEADERS,
    query_keys=settings.ALLOW_QUERY_KEYS,
)
application = BodyLimit(
    _guarded,
    settings.MAX_BODY_BYTES,
    settings.BODY_TIMEOUT,
    most_seconds=settings.BODY_SECONDS,
    least_rate=settings.BODY_BYTES_PER_SECOND,
)
