"""HTTP doors of the predictions room."""

from . import watching
from .batches import models
from .outcomes import predictions

__all__ = ["models", "predictions", "watching"]
