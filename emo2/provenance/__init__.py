"""What a film says of its own making."""
