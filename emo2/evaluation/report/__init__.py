"""What an examination found, as a page."""
