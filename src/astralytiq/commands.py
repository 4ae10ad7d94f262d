"""The list of the features' commands: client only, so that --help is quick."""

from astralytiq.features.accounts.cli import key, user
from astralytiq.features.alerts.cli import app as alert
from astralytiq.features.dashboards.cli import app as dashboard
from astralytiq.features.datasets.cli import app as dataset
from astralytiq.features.history.cli import app as audit
from astralytiq.features.history.cli import lineage
from astralytiq.features.ingestion.cli import data, etl, secret, source
from astralytiq.features.jobs.cli import app as job
from astralytiq.features.monitoring.cli import app as monitor
from astralytiq.features.predictions import watching_cli
from astralytiq.features.predictions.cli import app as predict
from astralytiq.features.projects.cli import app as project
from astralytiq.features.registry.cli import app as model
from astralytiq.features.tasks.cli import app as task
from astralytiq.features.telemetry.cli import app as telemetry
from astralytiq.features.tracking.cli import app as mlflow
from astralytiq.features.training.cli import app as train

watching_cli.add_to(model)  # A room above the registry's.

GROUPS = (
    user,
    key,
    project,
    task,
    source,
    secret,
    etl,
    data,
    dataset,
    train,
    model,
    mlflow,
    predict,
    job,
    telemetry,
    alert,
    dashboard,
    audit,
    monitor,
    lineage,
)

# Names that scripts may still use.
EARLIER = {"alerts": alert}
