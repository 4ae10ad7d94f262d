"""HTTP doors of the monitoring room."""

from .figures import monitoring
from .health import router, welcome
from .scraping import scraped

__all__ = ["monitoring", "router", "scraped", "welcome"]
