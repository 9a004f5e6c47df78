"""Permission checks for asynchronous admin views; the admin's own check is synchronous."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponseBase, JsonResponse

AsyncView = Callable[..., Awaitable[HttpResponseBase]]


def staff_permission_required(permission: str) -> Callable[[AsyncView], AsyncView]:
    """Admit only staff users who have ``permission``.

    Others get 401 or 403 as JSON, because scripts call these views.
    """

    def decorator(view: AsyncView) -> AsyncView:
        @wraps(view)
        async def checked_view(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            user = await request.auser()
            if not (user.is_active and user.is_staff):  # type: ignore[union-attr]
                return JsonResponse({"detail": "Log in to the admin first."}, status=401)
            if not await user.ahas_perm(permission):  # type: ignore[union-attr]
                detail = f"You need the permission {permission}."
                return JsonResponse({"detail": detail}, status=403)
            return await view(request, *args, **kwargs)

        return checked_view

    return decorator
