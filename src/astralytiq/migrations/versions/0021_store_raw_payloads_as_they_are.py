"""Let PostgreSQL store raw payloads as they are.

They are packed already: that it tried to pack them again took a fifteenth of a load.
"""

from collections.abc import Sequence

from alembic import op

revision: str = "0021"
down_revision: str | None = "0020"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

TABLES = ("raw_data_api", "raw_data_csv", "raw_data_rss")


def upgrade() -> None:
    store("EXTERNAL")


def downgrade() -> None:
    store("EXTENDED")


def store(how: str) -> None:
    if op.get_bind().dialect.name == "postgresql":
        for table in TABLES:
            op.execute(f"ALTER TABLE {table} ALTER COLUMN payload SET STORAGE {how}")
