"""The memories to choose from: an archive names one by its place in PROFILES, so none is ever removed or changed."""

from __future__ import annotations

from arzip.memory.spec import Profile

FAST, FULL = 0, 1

PROFILES = (
    Profile(contexts=(1, 2, 3, 4, 6, 10), direct=(), matches=(6,), selectors=(1,)),
    Profile(
        contexts=(0, 1, 2, 3, 4, 5, 6, 10, 11, 20, 22, 23, 30, 31, 34, 40),
        direct=(1, 2),
        matches=(6,),
        selectors=(0, 1, 2, 4, 5, 6),
    ),
)
