from django.db import migrations


def fill(apps, schema_editor):
    entries = apps.get_model("ledger", "Entry")
    entries.objects.filter(source=None).update(source="migrated")
    for account in apps.get_model("ledger", "Account").objects.all()[:50]:
        account.name = f"{account.name} (filled)"[:80]
        account.save()


class Migration(migrations.Migration):
    """A data migration."""

    dependencies = (("ledger", "m03_rename_and_alter"),)
    operations = (migrations.RunPython(fill, migrations.RunPython.noop),)
