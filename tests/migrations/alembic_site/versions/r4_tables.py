import sqlalchemy as sa
from alembic import op

revision, down_revision = "r4", "r3"


def upgrade():
    op.rename_table("shop_stock", "shop_levels")
    op.create_table(
        "shop_tags",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("order_id", sa.Integer, sa.ForeignKey("shop_orders.id")),
        sa.Column("word", sa.String(40)),
    )
