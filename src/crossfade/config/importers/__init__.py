"""Other tools' configs, translated."""
