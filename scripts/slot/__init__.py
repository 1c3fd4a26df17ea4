"""A quarter of an hour on a rented GPU: pack what it needs, run there, land what comes back. See docs/SLOT.md."""
