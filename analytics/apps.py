"""The Django app ``analytics``."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class AnalyticsConfig(AppConfig):
    """Configuration of the app that stores and reports requests."""

    name = "analytics"
    verbose_name = "All tables"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Create the admin roles after each migration."""
        from analytics.access.roles import roles_make

        # After the migrations, the tables of users and permissions (another app's) exist too.
        post_migrate.connect(roles_make, sender=self, dispatch_uid="roles")
