"""HTTP doors of the monitoring room."""

from .figures import monitoring
from .health import router, welcome

__all__ = ["monitoring", "router", "welcome"]
