import sqlalchemy as sa
from alembic import op

revision, down_revision = "r2", "r1"


def upgrade():
    with op.batch_alter_table("shop_orders") as batch:
        batch.add_column(sa.Column("note", sa.Text))
    with op.batch_alter_table("shop_orders") as batch:
        batch.alter_column("item", new_column_name="article")
        batch.alter_column("quantity", type_=sa.BigInteger, nullable=True)
