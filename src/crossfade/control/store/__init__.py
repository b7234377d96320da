"""The append-only event log and the state folder."""
