"""The OpenAPI document is written whole, whoever asks for it first."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import os, sys, threading
os.environ["DJANGO_SETTINGS_MODULE"] = "optimizer.settings"
import django
django.setup()
sys.setswitchinterval(1e-4)
from drf_spectacular.settings import spectacular_settings
generator, written = spectacular_settings.DEFAULT_GENERATOR_CLASS, []
def write():
    written.append(str(generator().get_schema(request=None, public=True)))
threads = [threading.Thread(target=write) for _ in range(6)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(len(written), len(set(written)))
"""


def test_several_who_ask_at_once_for_the_first_document_get_the_same() -> None:
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "6 1", run.stderr[-2000:]
