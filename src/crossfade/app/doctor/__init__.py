"""What `crossfade doctor` looks at."""
