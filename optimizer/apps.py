"""The Django app of the service itself."""

from django.apps import AppConfig


class OptimizerConfig(AppConfig):
    """Registers the app."""

    name = "optimizer"
    verbose_name = "AI Cost Optimizer"
