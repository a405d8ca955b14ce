from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = (("ledger", "m02_add_fields"),)
    operations = (
        migrations.RenameField("entry", "note", "memo"),
        migrations.AlterField("entry", "memo", models.TextField(null=True)),
        migrations.AlterField("entry", "amount", models.BigIntegerField(default=1)),
        migrations.RenameField("account", "opened", "opened_at"),
    )
