from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    dependencies = ()
    operations = (
        migrations.CreateModel(
            name="Account",
            fields=[
                ("id", models.BigAutoField(primary_key=True)),
                ("name", models.CharField(max_length=80, unique=True)),
                ("balance", models.DecimalField(max_digits=12, decimal_places=2, default=0)),
                ("opened", models.DateTimeField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name="Entry",
            fields=[
                ("id", models.BigAutoField(primary_key=True)),
                (
                    "account",
                    models.ForeignKey("ledger.Account", null=True, on_delete=models.SET_NULL),
                ),
                ("amount", models.IntegerField(default=0)),
                ("note", models.CharField(max_length=200)),
                ("draft", models.BooleanField(default=False)),
            ],
        ),
        migrations.CreateModel(
            name="Scratch",
            fields=[
                ("id", models.BigAutoField(primary_key=True)),
                ("body", models.TextField(default="")),
            ],
        ),
    )
