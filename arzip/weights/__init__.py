"""Model files: which are at hand, and how one is read and written."""
