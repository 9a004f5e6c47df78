"""The command line: ``manage.py`` in the project's folder, ``ai-cost-optimizer`` once installed."""

from __future__ import annotations

import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line


def main() -> None:
    """Run the command that ``sys.argv`` names, with this project's settings.

    Exits with a message if a setting is wrong.
    """
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "optimizer.settings")
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(f"Wrong setting: {error}")
