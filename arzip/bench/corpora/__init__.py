"""The evaluation corpora: the catalog, and the download. Standard library only."""
