"""Estimators and tests, with their sources."""
