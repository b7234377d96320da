"""Intake and storage of attempt records and counters."""
