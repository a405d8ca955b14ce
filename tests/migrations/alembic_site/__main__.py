"""`python alembic_site PATH REVISION` migrates a file to a revision of `versions`."""

import sys
from pathlib import Path


def main():
    path, revision = sys.argv[1:]

    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.set_main_option("sqlalchemy.url", f"sqlite:///{path}")
    config.set_main_option("path_separator", "os")
    command.upgrade(config, revision)


if __name__ == "__main__":
    main()
