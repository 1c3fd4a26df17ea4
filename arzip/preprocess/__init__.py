"""Reversible transforms of a block before it is modelled: long-distance matches, branch conversion."""
