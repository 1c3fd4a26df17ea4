"""The memory: learns the file while it is coded. The arithmetic is specified in docs/FORMAT.md."""
