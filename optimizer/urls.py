"""URL routes: our API at the root and under /api/v1, others' under /v1…, the admin, and /me/.

Each module of paths is named and not imported: Django imports it with the first request below its
prefix. A worker that serves prompts alone never loads the admin, the reports or the management
API, which take as much memory as all that it needs.
"""

from __future__ import annotations

from django.conf import settings
from django.urls import include, path

from optimizer.api.relayed.probe import probe
from optimizer.control_room.landing import landing

_HEALTH = "optimizer.api.v1.health_routes"

# (module, application, namespace), which ``include`` would import at once.
urlpatterns = [
    # Under the admin, because only the admin has sessions.
    *(
        [path("admin/sso/", include("mozilla_django_oidc.urls"))]
        if settings.OIDC_RP_CLIENT_ID
        else []
    ),
    path("admin/", ("optimizer.control_room.urls", "admin", "admin")),
    path("api/v1/manage/", ("optimizer.api.manage.routes", "manage", "manage")),
    path("me/", ("optimizer.me.routes", "me", "me")),
    path("api/v1/", (_HEALTH, "health", "health-v1")),
    path("api/v1/", ("optimizer.api.v1.routes", "api", "v1")),
    path("v1beta/", ("optimizer.api.gemini.routes", "gemini", "gemini")),
    path("v1alpha/", ("optimizer.api.gemini.routes", "gemini", "gemini-alpha")),
    path("v1", probe),
    # First, because OpenAI's GET /v1/models/{name} takes any name.
    path("v1/", ("optimizer.api.gemini.method_routes", "gemini", "gemini-v1")),
    path("v1/", ("optimizer.api.v1.client_routes", "client", "client")),
    path("v1/", ("optimizer.api.compat.routes", "gateway", "gateway")),
    path("v1/", ("optimizer.api.relayed.routes", "relayed", "relayed")),
    path("v2/", ("optimizer.api.openai.specialised.cohere_routes", "cohere", "cohere")),
    path("", landing),
    path("", (_HEALTH, "health", "health")),
    path("", ("optimizer.api.v1.routes", "api", "root")),
]

handler400 = "optimizer.server.errors.bad_request"
handler403 = "optimizer.server.errors.forbidden"
handler404 = "optimizer.server.errors.not_found"
handler500 = "optimizer.server.errors.server_error"
