"""Alembic's environment, as `alembic init` writes it, in batch mode."""

from alembic import context
from sqlalchemy import create_engine

engine = create_engine(
    context.config.get_main_option("sqlalchemy.url"), connect_args={"timeout": 60}
)
with engine.connect() as connection:
    context.configure(connection=connection, target_metadata=None, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()
engine.dispose()
