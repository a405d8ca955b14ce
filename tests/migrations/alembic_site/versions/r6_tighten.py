import sqlalchemy as sa
from alembic import op

revision, down_revision = "r6", "r5"


def upgrade():
    op.execute("UPDATE shop_orders SET quantity = 1 WHERE quantity IS NULL")
    with op.batch_alter_table("shop_orders") as batch:
        batch.alter_column("quantity", nullable=False, server_default="5", type_=sa.Integer)
        batch.create_check_constraint("some", "quantity > 0")
