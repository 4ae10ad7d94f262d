"""Training runs and model versions, kept in a real MLflow store that is written in process."""

from .entities import OURS, VERSION_TAG, RunSummary, TrackedRun
from .opening import PROXIED, hush
from .store import Tracker, tracker

__all__ = [
    "OURS",
    "PROXIED",
    "VERSION_TAG",
    "RunSummary",
    "TrackedRun",
    "Tracker",
    "hush",
    "tracker",
]
