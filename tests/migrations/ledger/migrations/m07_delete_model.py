from django.db import migrations


class Migration(migrations.Migration):
    dependencies = (("ledger", "m06_rename_models"),)
    operations = (migrations.DeleteModel("Scratch"),)
