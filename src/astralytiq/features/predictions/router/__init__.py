"""HTTP doors of the predictions room."""

from .asking import predictions
from .batches import models

__all__ = ["models", "predictions"]
