"""Recompression: deflate streams found in any bytes are undone so that the very same streams can be rebuilt."""
