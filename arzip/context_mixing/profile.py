"""The memory's profiles, from fast to full. What each context brings is measured in docs/LOG.md."""

from __future__ import annotations

from arzip.context_mixing.state import Profile

FAST = Profile(contexts=(2, 3, 4, 6, 10), direct=(), matches=(6,), selectors=(0,), finals=(0,))
MIDDLE = Profile(
    contexts=(2, 3, 4, 10, 11, 20, 27, 30, 40, 44, 46),  # with the rest 32 inputs: two vectors of the mixer
    direct=(1,),
    matches=(6, 20),
    selectors=(0, 1, 5),
    finals=(0, 1),
)
FULL = Profile(
    contexts=(
        *(0, 1, 2, 3, 4, 5, 6, 8, 9),
        *(10, 11, 12, 13, 14),
        *(20, 21, 22, 23, 24, 25, 26, 27, 28),
        *(30, 32, 33, 34, 35, 36),
        *(40, 42, 43, 44, 45, 46, 47, 48),
    ),
    direct=(1, 2),
    matches=(6, 12, 20),
    selectors=(0, 1, 2, 3, 4, 5, 8),
    slots_bits=24,
)
LARGE = Profile(
    contexts=(*FULL.contexts, *range(49, 63)),
    direct=(1, 2),
    matches=(6, 12, 20),
    selectors=(0, 1, 2, 3, 4, 5, 8, 9, 10),
    finals=(0, 1, 2, 3),
    runs=(1, 2, 3, 4, 6, 10, 11, 12, 14, 22),
    joints=(2, 3, 4, 6, 9, 10),
    slots_bits=24,
    rate=60,
    final_rate=250,
)

PROFILES = (FAST, FULL, MIDDLE, LARGE)  # a frame names its profile by its place here: only ever append
