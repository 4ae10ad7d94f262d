"""Training runs and model versions, kept in a real MLflow store that is written in process."""

from .entities import RunSummary, TrackedRun
from .opening import hush
from .store import Tracker, tracker

__all__ = ["RunSummary", "TrackedRun", "Tracker", "hush", "tracker"]
