"""The config file: read, check, expand, compile, compare."""
