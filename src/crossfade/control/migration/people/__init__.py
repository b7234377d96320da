"""What people give to a migration: sign-offs, waivers, labels."""
