"""HTTP routes of control; no logic."""
