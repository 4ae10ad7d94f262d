"""Doors of the alerts room."""

from .alerts import alerts
from .channels import channels
from .rules import rules

__all__ = ["alerts", "channels", "rules"]
