from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = (("ledger", "m05_constraints"),)
    operations = (
        migrations.RenameModel("Entry", "Posting"),
        migrations.CreateModel(
            name="Tag",
            fields=[
                ("id", models.BigAutoField(primary_key=True)),
                ("word", models.CharField(max_length=40, null=True)),
                (
                    "posting",
                    models.ForeignKey("ledger.Posting", null=True, on_delete=models.SET_NULL),
                ),
            ],
        ),
    )
