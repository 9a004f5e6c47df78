"""The service's settings, cut off from the developer's machine: no .env, no key, no network."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

os.environ["ENV_FILE"] = os.devnull
_CLOUDS = ("AWS_", "AZURE_", "BEDROCK_", "GOOGLE_", "VERTEX_", "ANTHROPIC_FOUNDRY_", "IDENTITY_")
for name in list(os.environ):
    if name.endswith(("_API_KEY", "_BASE_URL")) or name.startswith(_CLOUDS):
        del os.environ[name]
_folder = tempfile.mkdtemp(prefix="optimizer-tests-")
atexit.register(shutil.rmtree, _folder, ignore_errors=True)
os.environ["DATA_DIR"] = _folder
os.environ["LOCAL_PROVIDER"] = "off"
os.environ.setdefault("BASELINE_MODEL", "complexity")
os.environ["SECRET_KEY"] = "a key for tests alone, never used where it would matter"

# Each of several test processes has databases of its own: Redis numbers them.
_cache, _, _number = os.environ.get("CACHE_URL", "").rpartition("/")
if _cache.startswith("redis") and _number.isdigit():
    _worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    os.environ["CACHE_URL"] = f"{_cache}/{int(_number) + int(_worker)}"

from optimizer.settings import *  # noqa: E402, F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
TOKENIZERS_DIR = str(Path(os.environ["DATA_DIR"]) / "tokenizers")

# No test cuts the power, and those that kill the service run it with its own settings.
_options = DATABASES["default"]["OPTIONS"]  # noqa: F405
for _key, _durable, _quick in (
    ("init_command", "synchronous=FULL", "synchronous=OFF"),
    ("options", "-c jit=off", "-c jit=off -c synchronous_commit=off"),
):
    if _key in _options:
        _options[_key] = _options[_key].replace(_durable, _quick)
