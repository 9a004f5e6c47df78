"""The project package: settings, HTTP, and the services that join the other packages."""

__version__ = "0.1.0"
