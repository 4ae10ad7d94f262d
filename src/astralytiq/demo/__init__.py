"""The demo: fifteen data sets and twelve models, real tables trained for real, once per home."""

from .loading import load

__all__ = ["load"]
