"""A Django project with one app, `ledger`: `python django_site.py PATH MIGRATION`."""

import sys
from pathlib import Path


def main():
    path, migration = sys.argv[1:]
    sys.path.insert(0, str(Path(__file__).parent))

    import django
    from django.conf import settings
    from django.core.management import call_command

    settings.configure(
        INSTALLED_APPS=["ledger"],
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": path,
                # A migration waits for the other writers, as in any project that has some.
                "OPTIONS": {"timeout": 60, "transaction_mode": "IMMEDIATE"},
            }
        },
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        USE_TZ=True,
    )
    django.setup()
    call_command("migrate", "ledger", migration, verbosity=0)


if __name__ == "__main__":
    main()
