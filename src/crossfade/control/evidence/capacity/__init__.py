"""What a provider's unit is worth: recorded profile, open-loop load test, search over units."""
