"""The memory's profiles, from fast to full; docs/LOG.md has what each context brings. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Profile:
    """What a memory consists of. A frame names one by its place in PROFILES.

    contexts: kinds (contexts.py) of the hashed bit-history contexts. direct: byte orders of the contexts
    that are indexed without histories. matches: shortest length of each match model. selectors: kinds
    (mixer.py) of the first layer's weight sets. finals: kinds of the final maps. slots_bits: most slots, log2.
    runs: kinds, all among `contexts`, whose last follower is remembered too (run_model.py). joints: kinds, all among
    `contexts`, whose history is looked up beside a second opinion too (joint_maps.py); if there are any, so is what
    matches and runs expect. run_bits: most entries of a run's table, log2.
    rate, rate_extra: learning rate of the mixer in the long run, and what is added at the start; primed_extra:
    the same for a memory that starts primed. limit,
    direct_limit, match_limit, apm_limit: largest counts of the maps; the last change is 1 / (count + 1.5).
    """

    contexts: tuple[int, ...]
    direct: tuple[int, ...] = (1, 2)
    matches: tuple[int, ...] = (6,)
    selectors: tuple[int, ...] = (0, 1)
    finals: tuple[int, ...] = (0, 1, 2)
    slots_bits: int = 22
    rate: int = 70
    rate_extra: int = 84
    limit: int = 255
    direct_limit: int = 1023
    match_limit: int = 1023
    apm_limit: int = 255
    direct_bits: int = 22
    match_bits: int = 22
    final_rate: int = 300
    start: int = 24
    primed_extra: int = 240
    runs: tuple[int, ...] = ()
    joints: tuple[int, ...] = ()
    run_bits: int = 20


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
