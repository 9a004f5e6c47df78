"""URL routes: our API at the root and under /api/v1, others' under /v1…, the admin, and /me/."""

from __future__ import annotations

from django.conf import settings
from django.contrib import admin
from django.urls import include, path

from optimizer.api.compat.routes import urlpatterns as gateway_urlpatterns
from optimizer.api.gemini.routes import method_urlpatterns as gemini_method_urlpatterns
from optimizer.api.gemini.routes import urlpatterns as gemini_urlpatterns
from optimizer.api.manage.routes import urlpatterns as manage_urlpatterns
from optimizer.api.openai.specialised.rerank import CohereRerankViewSet
from optimizer.api.relayed.routes import probe
from optimizer.api.relayed.routes import urlpatterns as relayed_urlpatterns
from optimizer.api.v1.routes import client_urlpatterns
from optimizer.api.v1.routes import urlpatterns as api_urlpatterns
from optimizer.control_room.landing import landing
from optimizer.me.routes import urlpatterns as me_urlpatterns

urlpatterns = [
    # Under the admin, because only the admin has sessions.
    *(
        [path("admin/sso/", include("mozilla_django_oidc.urls"))]
        if settings.OIDC_RP_CLIENT_ID
        else []
    ),
    path("admin/", admin.site.urls),
    path("api/v1/manage/", include((manage_urlpatterns, "manage"), namespace="manage")),
    path("me/", include((me_urlpatterns, "me"), namespace="me")),
    path("api/v1/", include((api_urlpatterns, "api"), namespace="v1")),
    path("v1beta/", include((gemini_urlpatterns, "gemini"), namespace="gemini")),
    path("v1alpha/", include((gemini_urlpatterns, "gemini"), namespace="gemini-alpha")),
    path("v1", probe),
    # First, because OpenAI's GET /v1/models/{name} takes any name.
    path("v1/", include((gemini_method_urlpatterns, "gemini"), namespace="gemini-v1")),
    path("v1/", include((client_urlpatterns, "client"), namespace="client")),
    path("v1/", include((gateway_urlpatterns, "gateway"), namespace="gateway")),
    path("v1/", include((relayed_urlpatterns, "relayed"), namespace="relayed")),
    path("v2/rerank", CohereRerankViewSet.as_view({"post": "create"}), name="cohere-rerank"),
    path("", landing),
    path("", include((api_urlpatterns, "api"), namespace="root")),
]

handler400 = "optimizer.server.errors.bad_request"
handler403 = "optimizer.server.errors.forbidden"
handler404 = "optimizer.server.errors.not_found"
handler500 = "optimizer.server.errors.server_error"
