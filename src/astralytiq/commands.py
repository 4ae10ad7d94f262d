"""The list of the features' commands: client only, so that --help is quick."""

from astralytiq.features.accounts.cli import app as user
from astralytiq.features.datasets.cli import app as dataset
from astralytiq.features.ingestion.cli import data, etl, source
from astralytiq.features.jobs.cli import app as job
from astralytiq.features.predictions.cli import app as predict
from astralytiq.features.registry.cli import app as model
from astralytiq.features.training.cli import app as train

GROUPS = (user, source, etl, data, dataset, train, model, predict, job)
