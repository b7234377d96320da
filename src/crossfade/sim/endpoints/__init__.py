"""What stands behind every simulated service: endpoints at work, bills, faults, identities."""
