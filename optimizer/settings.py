"""Every setting, from the environment, with a safe default. ``.env.example`` explains each."""

from __future__ import annotations

import os
import secrets
import zoneinfo
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import environ
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from optimizer.shared.secret_files import read_secret_files

BASE_DIR = Path(__file__).resolve().parent.parent
# Where settings and data lie by default. An installed package is replaced by each upgrade, and is
# started from any folder: so it has a fixed one, by the rules of the XDG base directories.
HOME_DIR = BASE_DIR
if not (BASE_DIR / "manage.py").is_file():
    HOME_DIR = Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share").expanduser()
    HOME_DIR /= "ai-cost-optimizer"


class _Environment(environ.Env):  # type: ignore[misc]
    """The environment; a value that has another form is refused with the variable's name."""

    def get_value(self, var: str, cast: Any = None, *rest: Any, **options: Any) -> Any:
        """Return the variable as ``cast``. Raises ``ImproperlyConfigured``."""
        try:
            return super().get_value(var, cast, *rest, **options)
        except (ValueError, ArithmeticError) as error:
            # A number is no secret; other values may hold one.
            number = cast in {int, float}
            shown = f"{os.environ.get(var)!r} is no number" if number else error
            raise ImproperlyConfigured(f"{var} cannot be read: {shown}") from None


env = _Environment()
env.read_env(env.str("ENV_FILE", default=str(HOME_DIR / ".env")))
read_secret_files(os.environ)


def _choice(name: str, options: Sequence[str], *, default: str) -> str:
    """Return the setting, which must be one of ``options``."""
    value: str = env.str(name, default=default)
    if value not in options:
        *others, last = options
        raise ImproperlyConfigured(f"{name} must be {', '.join(others)} or {last}")
    return value


# --- environment ----------------------------------------------------------------

ENVIRONMENT = _choice("ENVIRONMENT", ("development", "production"), default="development")
PRODUCTION = ENVIRONMENT == "production"
DEBUG = env.bool("DEBUG", default=False)
DATA_DIR = Path(env.str("DATA_DIR", default=str(HOME_DIR / "data")))
DATA_DIR.mkdir(parents=True, exist_ok=True)

HOST = env.str("HOST", default="127.0.0.1")
PORT = env.int("PORT", default=8000)
WORKERS = env.int("WORKERS", default=1)
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])


def _folder_of(package: str) -> Path:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ImproperlyConfigured(f"{package} is not installed: pip install -r requirements.txt")
    return Path(spec.origin).parent


def _secret_key() -> str:
    """Return the key from the environment or, outside production, one created once and stored."""
    if key := env.str("SECRET_KEY", default=""):
        return key
    if PRODUCTION:
        raise ImproperlyConfigured("SECRET_KEY must be set in production")
    path = DATA_DIR / "secret_key"
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(50))
    return path.read_text().strip()


SECRET_KEY = _secret_key()

TRUST_PROXY_HEADERS = env.bool("TRUST_PROXY_HEADERS", default=False)
if PRODUCTION:
    # Turn it off only behind a proxy that redirects itself, or on a private network.
    SECURE_SSL_REDIRECT = env.bool("SECURE_SSL_REDIRECT", default=True)
    # Load balancers and Prometheus use these paths without TLS.
    SECURE_REDIRECT_EXEMPT = [r"^(api/v1/)?(health|ready|metrics)$"]
    SECURE_HSTS_SECONDS = env.int("SECURE_HSTS_SECONDS", default=31_536_000)
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
    SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True
    if TRUST_PROXY_HEADERS:
        SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SESSION_COOKIE_HTTPONLY = True
X_FRAME_OPTIONS = "DENY"
# The admin loads nothing from other hosts, and runs no inline scripts.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
    }
}
SECURE_CONTENT_TYPE_NOSNIFF = True

# --- Django ---------------------------------------------------------------------

INSTALLED_APPS = [
    # Our apps come first, so that our templates override the admin's.
    "analytics",
    "optimizer",
    "optimizer.control_room.apps.ControlRoomConfig",  # django.contrib.admin
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "adrf",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "axes",
]
# Each is a standard middleware that skips API requests: see optimizer/server/middleware.py.
MIDDLEWARE = [
    "optimizer.server.middleware.RequestId",
    "optimizer.server.middleware.Security",
    "optimizer.server.middleware.Sessions",
    "optimizer.server.middleware.Common",
    "optimizer.server.middleware.Csrf",
    "optimizer.server.middleware.Authentication",
    "optimizer.server.middleware.Messages",
    "optimizer.server.middleware.Frames",
    "optimizer.server.middleware.ContentPolicy",
    "optimizer.server.middleware.LoginLimit",
]
# The checks look for the standard classes by name. Ours are subclasses of them, and tests check
# the headers.
SILENCED_SYSTEM_CHECKS = ["security.W001", "security.W002", "security.W003", "axes.W002"]
ROOT_URLCONF = "optimizer.urls"
ASGI_APPLICATION = "optimizer.asgi.application"
APPEND_SLASH = True
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
# After ten wrong passwords from one address, that address has to wait.
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]
AXES_FAILURE_LIMIT = env.int("LOGIN_FAILURE_LIMIT", default=10)
AXES_COOLOFF_TIME = timedelta(minutes=env.int("LOGIN_WAIT_MINUTES", default=15))
AXES_RESET_ON_SUCCESS = True
AXES_VERBOSE = False
AXES_LOCKOUT_TEMPLATE = "admin/too_many_logins.html"
AXES_HTTP_RESPONSE_CODE = 429
AXES_CLIENT_IP_CALLABLE = "optimizer.access.client_address.address_of_request"
# Single sign-on to the admin, if the client id of an OpenID Connect provider is set.
OIDC_RP_CLIENT_ID = env.str("OIDC_CLIENT_ID", default="")
if OIDC_RP_CLIENT_ID:
    if find_spec("mozilla_django_oidc") is None:
        raise ImproperlyConfigured(
            "OIDC_CLIENT_ID is set, but its package is not installed: "
            "pip install -r requirements/security.txt"
        )
    INSTALLED_APPS.append("mozilla_django_oidc")
    AUTHENTICATION_BACKENDS.append("optimizer.access.single_sign_on.SingleSignOn")
    OIDC_RP_CLIENT_SECRET = env.str("OIDC_CLIENT_SECRET", default="")
    OIDC_ISSUER = env.str("OIDC_ISSUER")
    OIDC_OP_AUTHORIZATION_ENDPOINT = env.str("OIDC_AUTHORIZATION_URL")
    OIDC_OP_TOKEN_ENDPOINT = env.str("OIDC_TOKEN_URL")
    OIDC_OP_USER_ENDPOINT = env.str("OIDC_USERINFO_URL")
    OIDC_OP_JWKS_ENDPOINT = env.str("OIDC_JWKS_URL")
    OIDC_ROLES = {
        "administrator": env.str("OIDC_ADMIN_GROUP"),
        "operator": env.str("OIDC_OPERATOR_GROUP", default=""),
        "analyst": env.str("OIDC_ANALYST_GROUP", default=""),
        "viewer": env.str("OIDC_VIEWER_GROUP", default=""),
        "finance": env.str("OIDC_FINANCE_GROUP", default=""),
        "developer": env.str("OIDC_DEVELOPER_GROUP", default=""),
    }
    OIDC_USER_CLAIM = env.str("OIDC_USER_CLAIM", default="")
    OIDC_GROUPS_CLAIM = env.str("OIDC_GROUPS_CLAIM", default="groups")
    OIDC_RP_SCOPES = env.str("OIDC_SCOPES", default="openid email profile groups")
    OIDC_RP_SIGN_ALGO = "RS256"
    OIDC_USE_PKCE = True
    OIDC_TIMEOUT = 10
    LOGIN_REDIRECT_URL_FAILURE = "/me/sign-in/failed/"
    OIDC_CALLBACK_CLASS = "optimizer.access.single_sign_on.SignOnCallback"
LOGIN_REDIRECT_URL = "/admin/"
LANGUAGE_CODE = "en"
FORMAT_MODULE_PATH = "optimizer.presentation.formats"
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "static/"
# Chart.js, from a package that contains it; nothing else of that package is used.
STATICFILES_DIRS = [("chartjs", _folder_of("unfold") / "static/unfold/js/chart")]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- database and cache ---------------------------------------------------------

DATABASE_TIMEOUT = env.int("DATABASE_TIMEOUT", default=5)
DATABASES = {"default": env.db_url("DATABASE_URL", default=f"sqlite:///{DATA_DIR / 'db.sqlite3'}")}
_database = DATABASES["default"]
if _database["ENGINE"] == "django.db.backends.sqlite3":
    _database["OPTIONS"] = {
        # Writers wait for the lock at the start, instead of failing within a transaction.
        "transaction_mode": "IMMEDIATE",
        "timeout": DATABASE_TIMEOUT,
        # FULL: a committed record survives a power failure, not only a crash. Checkpoints come
        # every 32 MB instead of every 4 MB of commits, so that a page which many commits change
        # is written back less often.
        "init_command": (
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;"
            "PRAGMA wal_autocheckpoint=8000; PRAGMA journal_size_limit=67108864;"
        ),
    }
    # Threads of one process share the test database only if it is a file.
    _database["TEST"] = {"NAME": str(DATA_DIR / "test.sqlite3")}
elif _database["ENGINE"] == "django.db.backends.postgresql":
    # An unreachable server or a locked table must not delay answers without a limit. JIT is off,
    # as compiling the wide sums of a report takes longer than running them.
    _database.setdefault("OPTIONS", {}).update(
        connect_timeout=DATABASE_TIMEOUT,
        # TCP's own timeouts detect a host that vanished without closing the connection.
        tcp_user_timeout=DATABASE_TIMEOUT * 1000,
        keepalives_idle=DATABASE_TIMEOUT,
        keepalives_interval=1,
        keepalives_count=3,
        options=f"-c lock_timeout={DATABASE_TIMEOUT}s -c jit=off",
    )
# Pages that show the demo read it from a file of its own.
DATABASE_ROUTERS = ["analytics.database.demo.DemoRouter"]
# The database for reports, if they do not read where requests are written.
if _replica := env.str("DATABASE_REPLICA_URL", default=""):
    DATABASES["replica"] = {
        **environ.Env.db_url_config(_replica),
        # The same options, except the one for writing.
        "OPTIONS": {
            name: option
            for name, option in _database.get("OPTIONS", {}).items()
            if name != "transaction_mode"
        },
        "TEST": {"MIRROR": "default"},
    }
    DATABASE_ROUTERS.append("analytics.database.replicas.ReplicaRouter")
# No CONN_MAX_AGE: under ASGI each synchronous view runs on a thread of its own, which would
# leave its connection open. The threads of the ledger and the cache keep their connections open.
# Limits are shared over Redis if the cache is in Redis.
_cache_url = env.str("CACHE_URL", default="").replace("rediscache://", "redis://", 1)
SHARED_STORE = _cache_url if _cache_url.startswith(("redis://", "rediss://")) else ""
CACHES = {"default": env.cache_url("CACHE_URL", default="locmemcache://")}
if SHARED_STORE:
    # A Redis that hangs counts as unavailable after one second.
    CACHES["default"].setdefault("OPTIONS", {}).update(socket_timeout=1, socket_connect_timeout=1)

# --- background work ------------------------------------------------------------

# Roll-ups, alerts and other periodic tasks run on Celery if there is a broker, else in each worker.
CELERY_BROKER_URL = env.str("CELERY_BROKER_URL", default="")

# --- e-mail, for alerts ---------------------------------------------------------

vars().update(env.email_url("EMAIL_URL", default="dummymail://"))
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env.str("EMAIL_FROM", default="ai-cost-optimizer@localhost")

# --- routing, providers, accounting ---------------------------------------------


def _usd(name: str, default: str) -> Decimal:
    try:
        amount = Decimal(env.str(name, default=default))
    except InvalidOperation:
        amount = Decimal("nan")
    if not amount.is_finite() or amount < 0:
        raise ImproperlyConfigured(f"{name} must be an amount in USD, zero or more")
    return amount


AUTH = _choice("AUTH", ("auto", "on", "off"), default="on" if PRODUCTION else "auto")
# Query strings stand in the logs of proxies, so that keys in them are refused by default.
ALLOW_QUERY_KEYS = env.bool("ALLOW_QUERY_KEYS", default=False)
MAX_PROMPT_CHARS = env.int("MAX_PROMPT_CHARS", default=400_000)
MAX_BODY_BYTES = env.int("MAX_BODY_BYTES", default=32 * 1024 * 1024)
BODY_TIMEOUT = env.float("BODY_TIMEOUT", default=60.0)
BODY_BYTES_PER_SECOND = env.int("BODY_BYTES_PER_SECOND", default=4096)
BODY_SECONDS = env.float("BODY_SECONDS", default=600.0)
READER_TIMEOUT = env.float("READER_TIMEOUT", default=60.0)
DATA_UPLOAD_MAX_MEMORY_SIZE = MAX_BODY_BYTES
MAX_CONCURRENT_REQUESTS = env.int("MAX_CONCURRENT_REQUESTS", default=512)
QUEUE_SECONDS = env.float("QUEUE_SECONDS", default=10.0)
TENANT_WEIGHTS = env.dict("TENANT_WEIGHTS", cast={"value": float}, default={})
MIN_FREE_DISK_MB = env.int("MIN_FREE_DISK_MB", default=64)
STORE_PROMPTS = _choice("STORE_PROMPTS", ("full", "hash", "none"), default="full")
MASKING = env.str("MASKING", default="")
GUARDRAILS = env.list("GUARDRAILS", default=[])
GUARDRAILS_OPEN = env.list("GUARDRAILS_OPEN", default=[])
GUARDRAIL_PERSONAL_DATA = env.str("GUARDRAIL_PERSONAL_DATA", default="presidio")
GUARDRAIL_RESTORE = env.bool("GUARDRAIL_RESTORE", default=True)
GUARDRAIL_MODERATION_MODEL = env.str(
    "GUARDRAIL_MODERATION_MODEL", default="openai/omni-moderation-latest"
)
GUARDRAIL_MODERATION_THRESHOLDS = env.dict(
    "GUARDRAIL_MODERATION_THRESHOLDS", cast={"value": float}, default={}
)
GUARDRAIL_MODERATION_STAGES = env.list("GUARDRAIL_MODERATION_STAGES", default=["input", "output"])
GUARDRAIL_MODERATION_STREAMS = _choice(
    "GUARDRAIL_MODERATION_STREAMS", ("hold", "note"), default="hold"
)
GUARDRAIL_MODERATION_SECONDS = env.float("GUARDRAIL_MODERATION_SECONDS", default=10.0)
ENCRYPTION_KEYS = env.list("ENCRYPTION_KEY", default=[])
RESPONSE_CACHE = env.bool("RESPONSE_CACHE", default=True)
RESPONSE_CACHE_SECONDS = env.int("RESPONSE_CACHE_SECONDS", default=7 * 24 * 3600)
CACHE_MAX_TEMPERATURE = env.float("CACHE_MAX_TEMPERATURE", default=0.7)
SEMANTIC_CACHE = env.bool("SEMANTIC_CACHE", default=False)
SEMANTIC_CACHE_THRESHOLD = env.float("SEMANTIC_CACHE_THRESHOLD", default=0.75)
SEMANTIC_CACHE_WORD_THRESHOLD = env.float("SEMANTIC_CACHE_WORD_THRESHOLD", default=0.6)
SEMANTIC_CACHE_ENTRIES = env.int("SEMANTIC_CACHE_ENTRIES", default=20_000)
CATALOGUE_FILE = env.str("CATALOGUE_FILE", default="")
REFUSALS_PER_MINUTE = env.int("REFUSALS_PER_MINUTE", default=600)
REFUSALS_PER_CLIENT = env.int("REFUSALS_PER_CLIENT", default=60)
MANAGE_REQUESTS_PER_MINUTE = env.int("MANAGE_REQUESTS_PER_MINUTE", default=300)
if MANAGE_REQUESTS_PER_MINUTE < 1:
    raise ImproperlyConfigured("MANAGE_REQUESTS_PER_MINUTE must be at least 1")
UNKNOWN_MODELS = _choice("UNKNOWN_MODELS", ("refuse", "pass"), default="refuse")
AGENT_MODELS = _choice("AGENT_MODELS", ("auto", "refuse"), default="auto")
PROMPT_CACHING = env.bool("PROMPT_CACHING", default=True)
PROMPT_CACHE_KEEP_ALIVE = env.bool("PROMPT_CACHE_KEEP_ALIVE", default=False)
SESSION_ROUTING = env.bool("SESSION_ROUTING", default=True)
RUNAWAY = _choice("RUNAWAY", ("off", "warn", "slow", "stop"), default="warn")
RUNAWAY_ROUNDS = env.int("RUNAWAY_ROUNDS", default=5)
RUNAWAY_COST = _usd("RUNAWAY_COST", "25")
LEVERS = env.str("LEVERS", default="")
LEVER_CONTROL_SHARE = env.float("LEVER_CONTROL_SHARE", default=0.05)
if not 0 < LEVER_CONTROL_SHARE < 1:
    raise ImproperlyConfigured("LEVER_CONTROL_SHARE must be between 0 and 1")
CASCADE_COMMAND = env.str("CASCADE_COMMAND", default="")
CASCADE_COMMAND_SECONDS = env.float("CASCADE_COMMAND_SECONDS", default=10.0)
WEBHOOK_HOSTS = env.list("WEBHOOK_HOSTS", default=[])
WEBHOOK_SECRET = env.str("WEBHOOK_SECRET", default="")
# Empty: alerts may be sent to any host that operators enter, but for link-local addresses.
ALERT_WEBHOOK_HOSTS = env.list("ALERT_WEBHOOK_HOSTS", default=[])
REPORT_TIME_ZONE = env.str("REPORT_TIME_ZONE", default="UTC")
if REPORT_TIME_ZONE not in zoneinfo.available_timezones():
    raise ImproperlyConfigured(
        "REPORT_TIME_ZONE must be the name of a time zone, such as Europe/Berlin"
    )
RULES_FILE = env.str("RULES_FILE", default="")
BUDGET_UNKNOWN_INPUT = _choice("BUDGET_UNKNOWN_INPUT", ("reserve", "refuse"), default="reserve")
LOCAL_PROVIDER = _choice("LOCAL_PROVIDER", ("auto", "on", "off"), default="auto")
PROVIDER_CONNECT_TIMEOUT = env.float("PROVIDER_CONNECT_TIMEOUT", default=5.0)
# None: 120 s between two bytes of a stream, and a whole answer may take until the deadline.
PROVIDER_READ_TIMEOUT = env.float("PROVIDER_READ_TIMEOUT", default=None)
# None: as many as calls may run at once, so that no call waits for another one's connection.
PROVIDER_MAX_CONNECTIONS = env.int("PROVIDER_MAX_CONNECTIONS", default=None)
PROVIDER_RETRIES = env.int("PROVIDER_RETRIES", default=1)
MAX_UPSTREAM_CALLS = env.int("MAX_UPSTREAM_CALLS", default=4)
if MAX_UPSTREAM_CALLS < 1:
    raise ImproperlyConfigured("MAX_UPSTREAM_CALLS must be at least 1")
BREAKER_FAILURES = env.int("BREAKER_FAILURES", default=5)
BREAKER_WINDOW = env.float("BREAKER_WINDOW", default=60.0)
BREAKER_SECONDS = env.float("BREAKER_SECONDS", default=30.0)
REQUEST_DEADLINE = env.float("REQUEST_DEADLINE", default=600.0)
STREAM_SECONDS = env.float("STREAM_SECONDS", default=3600.0)
STREAM_IDLE_SECONDS = env.float("STREAM_IDLE_SECONDS", default=600.0)
QUALITY_TARGET = env.float("QUALITY_TARGET", default=0.7)
BASELINE_MODEL = env.str("BASELINE_MODEL", default="")
JUDGE_MODEL = env.str("JUDGE_MODEL", default="")
JUDGE_RATE = env.float("JUDGE_RATE", default=0.01)
if not 0 <= JUDGE_RATE <= 1:
    raise ImproperlyConfigured("JUDGE_RATE must be between 0 and 1")
JUDGE_DAILY_BUDGET = _usd("JUDGE_DAILY_BUDGET", "1")
SHADOW_RATE = env.float("SHADOW_RATE", default=0.0)
SHADOW_MARGIN = env.float("SHADOW_MARGIN", default=0.05)
if not 0 <= SHADOW_RATE <= 1 or not 0 < SHADOW_MARGIN <= 0.5:
    raise ImproperlyConfigured(
        "SHADOW_RATE must be between 0 and 1, SHADOW_MARGIN above 0 and at most 0.5"
    )
SHADOW_DAILY_BUDGET = _usd("SHADOW_DAILY_BUDGET", "1")
LEVER_JUDGE_RATE = env.float("LEVER_JUDGE_RATE", default=0.1)
if not 0 <= LEVER_JUDGE_RATE <= 1:
    raise ImproperlyConfigured("LEVER_JUDGE_RATE must be between 0 and 1")
LEVER_JUDGE_DAILY_BUDGET = _usd("LEVER_JUDGE_DAILY_BUDGET", "1")
AUTOPILOT = env.bool("AUTOPILOT", default=False)
AUTOPILOT_RATE = env.float("AUTOPILOT_RATE", default=0.1)
AUTOPILOT_SHARE = env.float("AUTOPILOT_SHARE", default=0.1)
AUTOPILOT_MARGIN = env.float("AUTOPILOT_MARGIN", default=0.05)
AUTOPILOT_CONFIDENCE = env.float("AUTOPILOT_CONFIDENCE", default=0.95)
if not 0 <= AUTOPILOT_RATE <= 1 or not 0 < AUTOPILOT_SHARE <= 0.5:
    raise ImproperlyConfigured(
        "AUTOPILOT_RATE must be between 0 and 1, AUTOPILOT_SHARE above 0 and at most 0.5"
    )
if not 0 < AUTOPILOT_MARGIN <= 0.25 or not 0 < AUTOPILOT_CONFIDENCE < 1:
    raise ImproperlyConfigured(
        "AUTOPILOT_MARGIN must be above 0 and at most 0.25, AUTOPILOT_CONFIDENCE between 0 and 1"
    )
AUTOPILOT_DAILY_BUDGET = _usd("AUTOPILOT_DAILY_BUDGET", "1")
AUTOPILOT_MONTHLY_BUDGET = _usd("AUTOPILOT_MONTHLY_BUDGET", "20")
AUTOPILOT_DAILY_POINTS = env.float("AUTOPILOT_DAILY_POINTS", default=5.0)
AUTOPILOT_MONTHLY_POINTS = env.float("AUTOPILOT_MONTHLY_POINTS", default=50.0)
AUTOPILOT_TRIAL_DAYS = env.int("AUTOPILOT_TRIAL_DAYS", default=30)
if AUTOPILOT_DAILY_POINTS < 0 or AUTOPILOT_MONTHLY_POINTS < 0 or AUTOPILOT_TRIAL_DAYS < 1:
    raise ImproperlyConfigured(
        "AUTOPILOT_DAILY_POINTS and AUTOPILOT_MONTHLY_POINTS must not be negative, and "
        "AUTOPILOT_TRIAL_DAYS must be at least 1"
    )
QUALITY_TOLERANCE = env.float("QUALITY_TOLERANCE", default=0.02)
GUARANTEE_REFERENCE = env.str("GUARANTEE_REFERENCE", default="")
GUARANTEE_TOLERANCE = env.float("GUARANTEE_TOLERANCE", default=0.02)
GUARANTEE_CONFIDENCE = env.float("GUARANTEE_CONFIDENCE", default=0.95)
if not 0 < GUARANTEE_TOLERANCE <= 1 or not 0 < GUARANTEE_CONFIDENCE < 1:
    raise ImproperlyConfigured(
        "GUARANTEE_TOLERANCE must be above 0 and at most 1, GUARANTEE_CONFIDENCE between 0 and 1"
    )
ROUTING_POLICY = _choice("ROUTING_POLICY", ("target", "cap", "penalty"), default="target")
COST_CAP = _usd("COST_CAP", "0.01")
COST_PENALTY = _usd("COST_PENALTY", "10")
EXPLORATION_RATE = env.float("EXPLORATION_RATE", default=0.0)
if not 0 <= EXPLORATION_RATE <= 1:
    raise ImproperlyConfigured("EXPLORATION_RATE must be between 0 and 1")
ROUTER_ARTIFACT = env.str("ROUTER_ARTIFACT", default="")
EVIDENCE_REFRESH_SECONDS = env.float("EVIDENCE_REFRESH_SECONDS", default=15.0)
# The ids that providers give to the gateway's keys, projects or workspaces, in their statements.
RECONCILE_KEYS = frozenset(env.list("RECONCILE_KEYS", default=[]))
TOKENIZERS_DIR = env.str("TOKENIZERS_DIR", default=str(DATA_DIR / "tokenizers"))

# --- HTTP -----------------------------------------------------------------------

REST_FRAMEWORK = {
    "DEFAULT_RENDERER_CLASSES": ["optimizer.api.http.json_out.JsonRenderer"],
    "DEFAULT_PARSER_CLASSES": ["optimizer.api.http.body_reader.JsonParser"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "optimizer.api.http.json_out.AlwaysJson",
    "URL_FORMAT_OVERRIDE": None,
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": [],
    "UNAUTHENTICATED_USER": None,
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "optimizer.api.v1.errors.exception_handler",
    "COERCE_DECIMAL_TO_STRING": False,
}
SPECTACULAR_SETTINGS = {
    "DEFAULT_GENERATOR_CLASS": "optimizer.api.http.document_generator.OneAtATime",
    "TITLE": "AI Cost Optimizer",
    "DESCRIPTION": (
        "Sends each prompt to the cheapest model that is good enough, and proves what that saved. "
        "Costs are USD; times are UTC."
    ),
    "VERSION": "0.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SCHEMA_PATH_PREFIX": "(/api)?/v1",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {
        "AlertPeriodEnum": "analytics.models.alerts.AlertRule.Period",
        "BudgetPeriodEnum": "analytics.models.budgets.Budget.Period",
        "BudgetScopeEnum": "analytics.models.budgets.Budget.Scope",
        "ChannelKindEnum": "analytics.models.notification_target.NotificationChannel.Kind",
        "DigestPeriodEnum": "analytics.models.notifications.Digest.Period",
        "DigestScopeEnum": "analytics.models.notifications.Digest.Scope",
        "ModelKindEnum": "providers.catalogue.TOKEN_KINDS",
        "TemplatePeriodEnum": "analytics.models.developers.KeyTemplate.Period",
    },
    "APPEND_COMPONENTS": {
        "securitySchemes": {
            "bearer": {"type": "http", "scheme": "bearer"},
            "apiKey": {"type": "apiKey", "in": "header", "name": "x-api-key"},
        }
    },
    "SECURITY": [{"bearer": []}, {"apiKey": []}, {}],
    "PREPROCESSING_HOOKS": ["optimizer.api.v1.schema.keep_versioned_paths"],
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "optimizer.api.v1.schema.close_inputs",
        "optimizer.api.v1.schema.require_keys_to_manage",
        "optimizer.api.v1.schema.require_one_rating_of_one_answer",
        "optimizer.api.v1.schema.add_gatekeeper_errors",
    ],
}

# --- logging --------------------------------------------------------------------

LOG_LEVEL = env.str("LOG_LEVEL", default="INFO").upper()
LOG_FORMAT = _choice("LOG_FORMAT", ("line", "json"), default="line")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "()": "optimizer.monitoring.logs.PlainFormatter",
            "format": "{asctime} {levelname:<8} {name}: {message}",
            "style": "{",
        },
        "json": {
            "()": "optimizer.monitoring.logs.JsonFormatter",
            "format": "{asctime}{levelname}{name}{message}{request_id}{trace_id}",
            "style": "{",
            "rename_fields": {"asctime": "time", "levelname": "level", "name": "logger"},
        },
    },
    "filters": {"request": {"()": "optimizer.monitoring.logs.AboutRequest"}},
    "handlers": {
        "stderr": {
            "class": "logging.StreamHandler",
            "formatter": LOG_FORMAT,
            "filters": ["request"],
        },
        "nowhere": {"class": "logging.NullHandler"},
    },
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    "loggers": {
        "django": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
        # A client's error is reported in the response, not in the log.
        "django.request": {"handlers": ["stderr"], "level": "ERROR", "propagate": False},
        # Without a handler of its own, Python would print each wrong Host header's traceback.
        "django.security.DisallowedHost": {"handlers": ["nowhere"], "propagate": False},
        "axes": {"level": "WARNING"},
        "httpx": {"level": "WARNING"},
        "matplotlib": {"level": "WARNING"},
        "uvicorn.error": {"level": "WARNING"},
    },
}
