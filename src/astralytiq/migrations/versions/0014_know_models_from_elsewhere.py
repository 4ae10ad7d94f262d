"""Know versions that were not trained here: of no data set version, job or seed of ours."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

revision: str = "0014"
down_revision: str | None = "0013"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

OURS: dict[str, sa.types.TypeEngine[Any]] = {
    "dataset_version_id": sa.Integer(),
    "seed": sa.BigInteger(),
    "job_id": sa.String(),
}
ONCE = "uq_model_versions_model_id_mlflow_version"


def upgrade() -> None:
    with op.batch_alter_table("model_versions", schema=None) as batch_op:
        for name, kind in OURS.items():
            batch_op.alter_column(name, existing_type=kind, nullable=True)
        batch_op.add_column(sa.Column("mlflow_version", sa.String(), nullable=True))
        batch_op.create_unique_constraint(batch_op.f(ONCE), ["model_id", "mlflow_version"])


def downgrade() -> None:
    # The code before this could not read them; their files stay in MLflow.
    op.execute("DELETE FROM model_versions WHERE mlflow_version IS NOT NULL")
    with op.batch_alter_table("model_versions", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f(ONCE), type_="unique")
        batch_op.drop_column("mlflow_version")
        for name, kind in OURS.items():
            batch_op.alter_column(name, existing_type=kind, nullable=False)
