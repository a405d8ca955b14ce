from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = (("ledger", "m04_fill"),)
    operations = (
        migrations.AddField("entry", "reference", models.CharField(max_length=60, null=True)),
        migrations.AddConstraint(
            "entry", models.UniqueConstraint(fields=["reference"], name="one_reference")
        ),
        migrations.AddIndex("entry", models.Index(fields=["amount"], name="by_amount")),
        migrations.AddConstraint(
            "account",
            models.UniqueConstraint(
                fields=["opened_at", "name"],
                condition=models.Q(active=True),
                name="one_active",
            ),
        ),
    )
