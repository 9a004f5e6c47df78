#!/usr/bin/env python3
"""Django's command line, with this project's settings."""

from optimizer.management.command_line import main

if __name__ == "__main__":
    main()
