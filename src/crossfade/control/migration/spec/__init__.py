"""The migration file: what was asked for."""
