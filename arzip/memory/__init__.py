"""The memory: learns the file while it is coded. See docs/DESIGN.md, "The memory"."""
