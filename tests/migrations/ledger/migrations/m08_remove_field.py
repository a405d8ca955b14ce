from django.db import migrations


class Migration(migrations.Migration):
    """ALTER TABLE … DROP COLUMN, which SQLite refuses while the table is captured."""

    dependencies = (("ledger", "m07_delete_model"),)
    operations = (migrations.RemoveField("posting", "draft"),)
