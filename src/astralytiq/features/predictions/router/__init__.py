"""HTTP doors of the predictions room."""

from .asking import models, predictions

__all__ = ["models", "predictions"]
