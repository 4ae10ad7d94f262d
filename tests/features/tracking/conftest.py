"""Tests of tracking have a real MLflow store, as those of training."""

from tests.features.training.conftest import empty_mlflow, mlflow

__all__ = ["empty_mlflow", "mlflow"]
