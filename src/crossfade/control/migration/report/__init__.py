"""What people read of a migration: its status now, and its report at any time."""
