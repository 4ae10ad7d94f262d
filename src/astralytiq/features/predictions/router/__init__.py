"""HTTP doors of the predictions room."""

from .batches import models
from .outcomes import predictions

__all__ = ["models", "predictions"]
