import sqlalchemy as sa
from alembic import op

revision, down_revision = "r1", None


def upgrade():
    op.create_table(
        "shop_orders",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("item", sa.String(80), nullable=False),
        sa.Column("price", sa.Float),
        sa.Column("quantity", sa.Integer, server_default="1"),
        sa.Column("legacy", sa.String(20)),
    )
    op.create_table(
        "shop_stock",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("item", sa.String(80)),
        sa.Column("level", sa.Integer),
    )
