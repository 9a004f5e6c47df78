"""Who is measured: this service, peers, bounds."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from benchmarks.gateway.complete import ROOT, free_port, service_environment
from benchmarks.gateway.load import Load
from benchmarks.gateway.servers import LOAD_CORES, UNSET, Server, started

OURS = "AI Cost Optimizer"
LITELLM = "LiteLLM"
LITELLM_VERSION = "1.108.7"
PORTKEY = "Portkey's gateway"
PORTKEY_VERSION = "1.15.2"
RAW = "raw ASGI and aiohttp"
NAMED = f"{OURS}, named model"
NAMED_MODEL = "groq/openai/gpt-oss-20b"


@dataclass(frozen=True)
class Target:
    """``load`` is how it is asked."""

    name: str
    server: Server
    load: Load = field(default_factory=Load)


_ANSWER = (
    '{"id":"chatcmpl-1","object":"chat.completion","created":1790000000,"model":"m","choices":'
    '[{"index":0,"message":{"role":"assistant","content":"The capital of France is Paris."},'
    '"finish_reason":"stop"}],"usage":{"prompt_tokens":20,"completion_tokens":9,'
    '"total_tokens":29}}'
)


def uvicorn_command(app: str, port: int, *more: str) -> list[str]:
    return [
        sys.executable, "-m", "uvicorn", app, "--port", str(port), "--log-level", "warning",
        "--no-access-log", *more,
    ]  # fmt: skip


@contextmanager
def nginx(folder: Path, location: str, *, cores: set[int], more: str = "") -> Iterator[Server]:
    """One worker that does ``location`` with everything."""
    port = free_port()
    folder.mkdir(parents=True)
    config = folder / "nginx.conf"
    config.write_text(
        f"worker_processes 1; daemon off; pid {folder}/pid; error_log /dev/null;"
        "events { worker_connections 4096; }"
        f"http {{ access_log off; keepalive_requests 1000000000; {more}"
        f"client_body_temp_path {folder}/a; proxy_temp_path {folder}/b;"
        f"fastcgi_temp_path {folder}/c; uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;"
        f"server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ {location} }} }} }}"
    )
    with started(["nginx", "-c", str(config)], port, cores=cores) as server:
        yield server


@contextmanager
def upstream(folder: Path, latency_ms: int) -> Iterator[str]:
    """Where the fake provider is: nginx where it answers at once, as it costs least."""
    if latency_ms == 0:
        answer = f"default_type application/json; return 200 '{_ANSWER}';"
        with nginx(folder / "upstream", answer, cores=LOAD_CORES) as server:
            yield server.url
        return
    port = free_port()
    command = uvicorn_command("benchmarks.gateway.upstream:application", port)
    environment = {"UPSTREAM_MS": str(latency_ms)}
    with started(command, port, environment, cores=LOAD_CORES) as server:
        yield server.url


@contextmanager
def ours(
    folder: Path, upstream_url: str, *, database: str | None = None, workers: int = 1,
    cores: set[int] | None = None, **more: str,
) -> Iterator[Server]:  # fmt: skip
    """The service with everything on; its database is migrated first."""
    folder.mkdir(parents=True, exist_ok=True)
    environment = {**service_environment(f"{upstream_url}/v1", str(folder), database), **more}
    subprocess.run(
        [sys.executable, "manage.py", "migrate", "-v0"],
        cwd=ROOT,
        env={**os.environ, **environment},
        check=True,
    )
    port = free_port()
    command = [
        sys.executable, "manage.py", "serve", "--port", str(port), "--workers", str(workers),
    ]  # fmt: skip
    with started(command, port, environment, cores=cores or {0}) as server:
        yield server


@contextmanager
def litellm(folder: Path, upstream_url: str, venv: Path) -> Iterator[Server]:
    """Its proxy without a database, in its own virtual environment."""
    installed = venv / f".litellm-{LITELLM_VERSION}"
    if not installed.exists():
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
        package = f"litellm[proxy]=={LITELLM_VERSION}"
        subprocess.run([str(venv / "bin/pip"), "install", "-q", package], check=True)
        installed.touch()
    folder.mkdir(parents=True)
    config = folder / "litellm.yaml"
    config.write_text(
        "model_list:\n"
        "  - model_name: auto\n"
        "    litellm_params:\n"
        "      model: openai/gpt-oss-20b\n"
        f"      api_base: {upstream_url}/v1\n"
        "      api_key: benchmark\n"
    )
    port = free_port()
    command = [str(venv / "bin/litellm"), "--config", str(config), "--port", str(port),
               "--host", "127.0.0.1"]  # fmt: skip
    environment = {
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_LOG": "ERROR",
        # Without keys: nobody is asked for one here either.
        "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
        "DATABASE_URL": UNSET,
        "PATH": f"{venv}/bin:{os.environ['PATH']}",
    }
    with started(command, port, environment, ready="/health/liveliness") as server:
        yield server


@contextmanager
def portkey(prefix: Path) -> Iterator[Server]:
    """Portkey's gateway from the npm registry, without its console; the address comes by header."""
    script = prefix / "node_modules/@portkey-ai/gateway/build/start-server.js"
    installed = prefix / f".portkey-{PORTKEY_VERSION}"
    if not installed.exists():
        prefix.mkdir(parents=True, exist_ok=True)
        package = f"@portkey-ai/gateway@{PORTKEY_VERSION}"
        npm = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(prefix)]
        subprocess.run([*npm, package], check=True)
        installed.touch()
    port = free_port()
    command = ["node", str(script), f"--port={port}", "--headless"]
    with started(command, port, {"NODE_ENV": "production"}, ready="/") as server:
        yield server


def portkey_load(upstream_url: str) -> Load:
    """Return how Portkey's gateway is asked for an answer of the fake provider."""
    headers = (("x-portkey-provider", "openai"), ("x-portkey-custom-host", f"{upstream_url}/v1"))
    return Load(headers=headers)


@contextmanager
def reference(app: str, upstream_url: str, environment: dict[str, str]) -> Iterator[Server]:
    port = free_port()
    command = uvicorn_command(
        f"benchmarks.gateway.bounds.{app}:application", port, "--lifespan", "off"
    )
    where = {"UPSTREAM": f"{upstream_url}/v1/chat/completions"}
    with started(command, port, {**environment, **where}) as server:
        yield server


@contextmanager
def all_targets(
    folder: Path,
    upstream_url: str,
    *,
    database: str | None,
    litellm_venv: Path | None,
    portkey_prefix: Path | None,
) -> Iterator[list[Target]]:
    """Everyone, started one after the other and kept running: idle servers cost nothing."""
    with ExitStack() as stack:
        enter = stack.enter_context
        service = enter(ours(folder / "ours", upstream_url, database=database))
        row = service_environment(upstream_url, str(folder / "ours"), database)
        found = [
            Target(OURS, service),
            Target(NAMED, service, Load(model=NAMED_MODEL)),
            Target(f"{OURS}, POST /complete", service, Load(wire="complete")),
            Target(f"{OURS}, from its cache", service, Load(mode="hit")),
        ]
        if litellm_venv is not None:
            found.append(
                Target(LITELLM, enter(litellm(folder / "peer", upstream_url, litellm_venv)))
            )
        if portkey_prefix is not None:
            found.append(
                Target(PORTKEY, enter(portkey(portkey_prefix)), portkey_load(upstream_url))
            )
        passing = enter(reference("passing_on", upstream_url, {}))
        found.append(Target("Django passing on", passing))
        found.append(Target(RAW, enter(reference("raw", upstream_url, {}))))
        reading = enter(reference("reading_a_row", upstream_url, row))
        found.append(Target("Django reading a row", reading))
        address = upstream_url.removeprefix("http://")
        pool = f"upstream up {{ server {address}; keepalive 512; }}"
        passed = 'proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection "";'
        proxy = nginx(folder / "proxy", passed, cores={0}, more=pool)
        found.append(Target("nginx", enter(proxy)))
        yield found


def versions() -> str:
    packages = ("django", "uvicorn", "httpx", "aiohttp", "uvloop")
    nginx_version = subprocess.run(
        ["nginx", "-v"], capture_output=True, text=True, check=True
    ).stderr.split("/")[-1]
    return ", ".join(
        [
            f"Python {sys.version.split()[0]}",
            *(f"{name} {version(name)}" for name in packages),
            f"nginx {nginx_version.split()[0]}",
            f"LiteLLM {LITELLM_VERSION}",
            f"Portkey's gateway {PORTKEY_VERSION}",
        ]
    )


def missing_tools() -> list[str]:
    return [name for name in ("wrk", "nginx") if shutil.which(name) is None]
