from alembic import op

revision, down_revision = "r5", "r4"


def upgrade():
    """In batch mode a rebuild: SQLite lets it pass although the table is captured."""
    with op.batch_alter_table("shop_orders") as batch:
        batch.drop_column("legacy")
        batch.alter_column("note", new_column_name="remark")
