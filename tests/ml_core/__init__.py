"""Tests of the stand-alone package ml_core."""
