"""What every feature stands on. It names no feature."""
