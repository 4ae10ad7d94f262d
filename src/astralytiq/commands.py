"""The list of the features' commands: client only, so that --help is quick."""

from astralytiq.features.accounts.cli import app as user
from astralytiq.features.jobs.cli import app as job

GROUPS = (user, job)
