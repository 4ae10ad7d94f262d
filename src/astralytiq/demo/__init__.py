"""The demo: fifteen real data sets, twelve models trained for real, twelve dashboards; once per
home."""

from .loading import load

__all__ = ["load"]
