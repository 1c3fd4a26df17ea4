"""Profiles: which component models context mixing uses, from fast to full. Standard library only.

docs/LOG.md has the gain of each context.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Profile:
    """The component models and their parameters. A frame names a profile by its index in PROFILES.

    contexts: kinds (contexts.py) of the hashed contexts, each with bit-history states and a map. direct: byte orders
    of the direct maps, indexed without states. matches: minimum length of each match model. mixer_contexts: kinds
    (mixer.py) of layer 1's weight sets. apms: kinds of the APM stages. runs: kinds, all among `contexts`, that also
    have a run model. joints: kinds, all among `contexts`, that also have a joint map; if there are any, so has each
    match and run model.
    slots_bits, direct_bits, match_bits, run_bits: log2 of the largest table sizes.
    rate, rate_extra: learning rate of layer 1 in the long run, and what is added to it at the start; pretrained_extra:
    the same from a pretrained state. layer2_rate: of layer 2. start: initial weights of the maps' first inputs.
    limit, direct_limit, match_limit, apm_limit: largest counts of map entries; an update is at least 1 / (count + 1.5).
    """

    contexts: tuple[int, ...]
    direct: tuple[int, ...] = (1, 2)
    matches: tuple[int, ...] = (6,)
    mixer_contexts: tuple[int, ...] = (0, 1)
    apms: tuple[int, ...] = (0, 1, 2)
    slots_bits: int = 22
    rate: int = 70
    rate_extra: int = 84
    limit: int = 255
    direct_limit: int = 1023
    match_limit: int = 1023
    apm_limit: int = 255
    direct_bits: int = 22
    match_bits: int = 22
    layer2_rate: int = 300
    start: int = 24
    pretrained_extra: int = 240
    runs: tuple[int, ...] = ()
    joints: tuple[int, ...] = ()
    run_bits: int = 20


FAST = Profile(contexts=(2, 3, 4, 6, 10), direct=(), matches=(6,), mixer_contexts=(0,), apms=(0,))
MIDDLE = Profile(
    contexts=(2, 3, 4, 10, 11, 20, 27, 30, 40, 44, 46),  # with the rest 32 inputs: two vectors of the mixer
    direct=(1,),
    matches=(6, 20),
    mixer_contexts=(0, 1, 5),
    apms=(0, 1),
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
    mixer_contexts=(0, 1, 2, 3, 4, 5, 8),
    slots_bits=24,
)
LARGE = Profile(
    contexts=(*FULL.contexts, *range(49, 63)),
    direct=(1, 2),
    matches=(6, 12, 20),
    mixer_contexts=(0, 1, 2, 3, 4, 5, 8, 9, 10),
    apms=(0, 1, 2, 3),
    runs=(1, 2, 3, 4, 6, 10, 11, 12, 14, 22),
    joints=(2, 3, 4, 6, 9, 10),
    slots_bits=24,
    rate=60,
    layer2_rate=250,
)

PROFILES = (FAST, FULL, MIDDLE, LARGE)  # a frame stores an index in this tuple: append only
