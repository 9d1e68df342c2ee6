"""Weight sets that are fetched on demand: downloads, their checks, and conversion."""
