"""A published incident at one endpoint: what callers see, and how its traffic comes back."""
