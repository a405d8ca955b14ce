from alembic import op

revision, down_revision = "r3", "r2"


def upgrade():
    with op.batch_alter_table("shop_orders") as batch:
        batch.create_unique_constraint("one_article", ["article"])
    op.create_index("by_level", "shop_stock", ["level"])
    op.execute("UPDATE shop_orders SET note = 'migrated ' || id WHERE note IS NULL")
