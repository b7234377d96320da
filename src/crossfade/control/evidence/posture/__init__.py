"""What software can see of the candidate's posture, and by name what it cannot."""
