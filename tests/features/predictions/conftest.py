"""Tests that train before they predict write to an MLflow of their own."""

from tests.features.training.conftest import empty_mlflow, mlflow

__all__ = ["empty_mlflow", "mlflow"]
