"""The Django app of the service itself."""

from django.apps import AppConfig

from optimizer.shared.lean_imports import import_libraries

# Before the models and views of any app import these libraries.
import_libraries()


class OptimizerConfig(AppConfig):
    """Registers the app."""

    name = "optimizer"
    verbose_name = "AI Cost Optimizer"
