from django.db import migrations, models


class Migration(migrations.Migration):
    """One nullable field, which is an ALTER TABLE, and one with a default, which is a rebuild."""

    dependencies = (("ledger", "m01_initial"),)
    operations = (
        migrations.AddField("entry", "source", models.CharField(max_length=40, null=True)),
        migrations.AddField("account", "active", models.BooleanField(default=True)),
    )
