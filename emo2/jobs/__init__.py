"""Long work: who does it, who watches it, who stops it."""
