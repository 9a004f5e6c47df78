"""Who may see a page that runs on the event loop; the admin's own guard is for threads."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponseBase, JsonResponse

AsyncView = Callable[..., Awaitable[HttpResponseBase]]


def staff_with(permission: str) -> Callable[[AsyncView], AsyncView]:
    """Lets staff with ``permission`` pass; others get 401 or 403 as JSON, for scripts to read."""

    def guarded(view: AsyncView) -> AsyncView:
        @wraps(view)
        async def inner(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            user = await request.auser()
            if not (user.is_active and user.is_staff):  # type: ignore[union-attr]
                return JsonResponse({"detail": "Log in to the admin first."}, status=401)
            if not await user.ahas_perm(permission):  # type: ignore[union-attr]
                return JsonResponse({"detail": f"This needs {permission}."}, status=403)
            return await view(request, *args, **kwargs)

        return inner

    return guarded
