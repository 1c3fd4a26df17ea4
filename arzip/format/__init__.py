"""The bytes of an archive: records, their order in a stream, what is left of a damaged one. Standard library only."""
