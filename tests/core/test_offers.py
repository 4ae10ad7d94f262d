"""What rooms offer on people: no table is forgotten."""

from astralytiq import wiring
from astralytiq.core import offers
from astralytiq.core.db import Base

wiring.load_offers()

# Where the database says whose something is, and the file of the export that holds it.
FILES = {
    "users": "account",
    "user_sessions": "sessions",
    "api_keys": "api_keys",
    "idempotency_keys": "requests",
    "dashboards": "dashboards",
    "alert_rules": "alert_rules",
    "alert_channels": "alert_channels",
    "alerts": "alerts",
    "projects": "projects",
    "project_members": "projects",
    "tasks": "tasks",
    "sources": "sources",
    "secrets": "secrets",  # pragma: allowlist secret
    "datasets": "datasets",
    "dataset_versions": "dataset_versions",
    "models": "models",
    "model_versions": "model_versions",
    "predictions": "predictions",
    "prediction_outcomes": "outcomes",
    "shadows": "shadows",
    "jobs": "jobs",
    "audit_entries": "audit",
}
UNSAID = {
    "one_time_tokens": "holds hashes of secrets, and nothing else",
    "task_words": "an index of the tasks",
    "audit_actors": "the account's e-mail once more",
}
OWNERS = {
    "owner_id", "user_id", "assignee_id", "created_by", "acknowledged_by", "actor_id", "actor",
}  # fmt: skip


def test_every_table_that_says_whose_something_is_has_its_file() -> None:
    tables = {
        table.name
        for table in Base.metadata.sorted_tables
        if table.name == "users" or OWNERS & set(table.columns.keys())
    }
    assert tables == FILES.keys() | UNSAID.keys()
    assert set(FILES.values()) == offers.PERSONAL_DATA.keys()
