"""What all packages share; it imports nothing of ours."""
