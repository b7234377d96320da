"""The token broker: short-lived credentials for gateways."""
