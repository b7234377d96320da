"""Names of metrics, logs."""
