"""Write what came of what, for all that is there already too."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from astralytiq.core import db

revision: str = "0011"
down_revision: str | None = "0010"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

# Payloads that replays read are not told again: only their jobs knew which.
STORED = "FROM etl_runs WHERE NOT dry_run AND batches > 0"
LOADED = f"{STORED} AND kind = 'load'"
ENDED = "COALESCE(end_time, start_time)"
TRAINED = "FROM model_versions AS v JOIN models AS m ON m.id = v.model_id"
VERSION = "v.dataset_id || '@' || v.number"
RUN_IDS = {
    "sqlite": "json_each(v.origin, '$.run_ids') AS r",
    "postgresql": "jsonb_array_elements_text(v.origin -> 'run_ids') AS r(value)",
}
SHA256 = {"sqlite": "json_extract(v.origin, '$.sha256')", "postgresql": "v.origin ->> 'sha256'"}

COLUMNS = "from_kind, from_id, to_kind, to_id, made_by, created_at"
KNOWN = (
    f"'source', source, 'run', run_id, job_id, {ENDED} FROM etl_runs WHERE NOT dry_run",
    f"'run', run_id, 'raw', run_id, run_id, {ENDED} {LOADED}",
    f"'raw', run_id, 'records', run_id, run_id, {ENDED} {LOADED}",
    f"'run', run_id, 'records', run_id, run_id, {ENDED} {STORED}",
    f"'dataset_version', v.dataset, 'training_run', v.job_id, v.job_id, v.created_at {TRAINED}",
    "'training_run', v.job_id, 'model_version', m.name || '@' || v.number, v.job_id,"
    f" v.created_at {TRAINED}",
    "'model_version', m.name || '@' || v.number, 'deployment', m.name || '@' || v.number,"
    f" NULL, v.deployed_at {TRAINED} WHERE v.deployed_at IS NOT NULL",
)


def upgrade() -> None:
    op.create_table(
        "lineage_edges",
        *(sa.Column(name, sa.String(), nullable=False) for name in ("from_id", "to_id")),
        *(
            sa.Column(name, sa.String(length=32), nullable=False)
            for name in ("from_kind", "to_kind")
        ),
        sa.Column("made_by", sa.String(), nullable=True),
        sa.Column("facets", db.Json, nullable=False, server_default=sa.text("'{}'")),
        sa.Column("id", db.BigId, nullable=False),
        sa.Column("created_at", db.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lineage_edges")),
        sa.UniqueConstraint(
            "from_kind",
            "from_id",
            "to_kind",
            "to_id",
            name=op.f("uq_lineage_edges_from_kind_from_id_to_kind_to_id"),
        ),
    )
    op.create_index("ix_lineage_edges_to_kind_to_id", "lineage_edges", ["to_kind", "to_id"])
    database = op.get_bind().dialect.name
    for known in (*KNOWN, *of_versions(database)):
        op.execute(f"INSERT INTO lineage_edges ({COLUMNS}) SELECT {known}")


def of_versions(database: str) -> tuple[str, str]:
    return (
        f"'records', r.value, 'dataset_version', {VERSION}, v.job_id, v.created_at"
        f" FROM dataset_versions AS v, {RUN_IDS[database]}",
        f"'upload', {SHA256[database]}, 'dataset_version', {VERSION}, v.job_id, v.created_at"
        f" FROM dataset_versions AS v WHERE {SHA256[database]} IS NOT NULL",
    )


def downgrade() -> None:
    op.drop_index("ix_lineage_edges_to_kind_to_id", table_name="lineage_edges")
    op.drop_table("lineage_edges")
