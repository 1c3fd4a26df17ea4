"""Model files: the registry of those installed, and their reader and writer."""
