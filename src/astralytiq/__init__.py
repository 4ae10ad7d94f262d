"""AstralytiQ: a small team's data and machine-learning back office."""

__version__ = "0.1.0"
