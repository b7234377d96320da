"""Recorded exchanges against the engine's codecs."""
