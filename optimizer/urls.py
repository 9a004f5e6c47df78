"""Routes: our endpoints at the root and under /api/v1, other APIs' under /v1, the admin."""

from __future__ import annotations

from django.conf import settings
from django.contrib import admin
from django.urls import include, path

from optimizer.admin.whatif import whatif_view
from optimizer.api.gateway.routes import urlpatterns as gateway_urlpatterns
from optimizer.api.routes import urlpatterns as api_urlpatterns

urlpatterns = [
    # Under the admin, as it alone has sessions.
    *(
        [path("admin/sso/", include("mozilla_django_oidc.urls"))]
        if settings.OIDC_RP_CLIENT_ID
        else []
    ),
    path("admin/whatif/", admin.site.admin_view(whatif_view), name="whatif"),
    path("admin/", admin.site.urls),
    path("api/v1/", include((api_urlpatterns, "api"), namespace="v1")),
    path("v1/", include((gateway_urlpatterns, "gateway"), namespace="gateway")),
    path("", include((api_urlpatterns, "api"), namespace="root")),
]

handler400 = "optimizer.api.errors.bad_request"
handler403 = "optimizer.api.errors.forbidden"
handler404 = "optimizer.api.errors.not_found"
handler500 = "optimizer.api.errors.server_error"
