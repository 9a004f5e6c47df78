"""Which scope of an API key a request of the management API needs."""

from __future__ import annotations

MANAGE_PREFIX = "/manage/"
_READS = frozenset({"GET", "HEAD", "OPTIONS"})
_READ = "manage:read"
_BY_AREA = {
    "providers": "manage:providers",
    "pools": "manage:providers",
    "models": "manage:models",
    "prices": "manage:models",
    "levers": "manage:policies",
    "rules": "manage:policies",
    "settings": "manage:policies",
    "shadow": "manage:policies",
    "budgets": "manage:budgets",
    "autopilot": "manage:policies",
    "keys": "manage:keys",
    "key-templates": "manage:keys",
    "alerts": "manage:alerts",
    "channels": "manage:alerts",
    "digests": "manage:alerts",
}


def manage_scope(path: str, method: str) -> str:
    """Return the scope that a request needs; ``path`` begins with :data:`MANAGE_PREFIX`.

    Reading needs one scope for all areas, writing the scope of its area.
    """
    if method in _READS:
        return _READ
    area = path.removeprefix(MANAGE_PREFIX).partition("/")[0]
    return _BY_AREA.get(area, _READ)
