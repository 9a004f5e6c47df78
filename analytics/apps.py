from django.apps import AppConfig
from django.db.models.signals import post_migrate


class AnalyticsConfig(AppConfig):
    name = "analytics"
    verbose_name = "Analytics"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from analytics.access.roles import roles_make

        # By then the tables of users and permissions, of another app, are there too.
        post_migrate.connect(roles_make, sender=self, dispatch_uid="roles")
