"""The demo's rules for alerts: a healthy home crosses none of their thresholds."""

from .plans import Fields

RULES: tuple[Fields, ...] = (
    {
        "name": "runs fail",
        "description": "Three runs of ingestion failed within a quarter of an hour: see etl runs.",
        "metric": "runs_failed_lately",
        "operator": ">=",
        "threshold": 3,
        "group": "ingestion",
    },
    {
        "name": "rejects pile up",
        "description": "Rejected records wait for somebody to retry or discard them.",
        "metric": "rejects_open",
        "operator": ">",
        "threshold": 100,
        "for": 60,
        "severity": "info",
        "group": "ingestion",
    },
    {
        "name": "jobs wait too long",
        "description": "A job that was due has waited five minutes: is a worker running?",
        "metric": "queue_age",
        "operator": ">",
        "threshold": 300,
        "for": 60,
        "severity": "critical",
    },
    {
        "name": "drivers are drowsy",
        "description": "More than a fifth of the events of the last five minutes are drowsy.",
        "metric": "drowsiness_rate",
        "operator": ">",
        "threshold": 20,
        "for": 30,
        "severity": "critical",
    },
    {
        "name": "models are worse",
        "description": "Mean held-out accuracy of what is in production.",
        "metric": "model_accuracy",
        "operator": "<",
        "threshold": 0.75,
        "group": "quality",
    },
    {
        "name": "data are worse",
        "description": "Mean quality of the newest versions of all data sets.",
        "metric": "data_quality_score",
        "operator": "<",
        "threshold": 80,
        "group": "quality",
    },
)
