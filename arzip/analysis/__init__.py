"""What a model knows, and where the bits of a file go."""
