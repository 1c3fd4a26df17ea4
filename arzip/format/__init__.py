"""The archive format: records, streams of records, salvage from damaged archives. Standard library only."""
