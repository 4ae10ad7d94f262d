"""Remember which versions were rolled back from, so that no later roll-back returns to them."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from astralytiq.core import db

revision: str = "0012"
down_revision: str | None = "0011"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    with op.batch_alter_table("model_versions", schema=None) as batch_op:
        batch_op.add_column(sa.Column("rolled_back_at", db.UtcDateTime(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("model_versions", schema=None) as batch_op:
        batch_op.drop_column("rolled_back_at")
