"""docs/FORMAT.md, 'Profiles': which models take part, and how large their tables are."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..numbers import bitlen


@dataclass(frozen=True)
class Profile:
    """A row of the table of profiles."""

    contexts: tuple[int, ...]
    direct: tuple[int, ...]
    matches: tuple[int, ...]
    mixer_contexts: tuple[int, ...]
    apms: tuple[int, ...]
    slots_bits: int
    rate: int
    layer2_rate: int
    runs: tuple[int, ...] = ()
    joints: tuple[int, ...] = ()
    direct_bits: int = 22
    match_bits: int = 22
    run_bits: int = 20

    @property
    def joint_maps(self) -> int:
        """J'."""
        return len(self.joints) + len(self.matches) + len(self.runs) if self.joints else 0

    @property
    def maps(self) -> int:
        """V, the maps before the APM stages."""
        return len(self.contexts) + len(self.direct) + len(self.matches) + len(self.runs) + self.joint_maps

    # For a block of n bytes:

    def slots(self, n: int) -> int:
        return 1 << min(self.slots_bits, max(12, bitlen(2 * n * len(self.contexts)) - 1))

    def direct_rows(self, order: int, n: int) -> int:
        return 1 << min(8 + 8 * order, self.direct_bits, max(16, bitlen(8 * n))) - 8

    def match_entries(self, n: int) -> int:
        return 1 << min(self.match_bits, max(8, bitlen(n)))

    def run_entries(self, n: int) -> int:
        return 1 << min(self.run_bits, max(10, bitlen(2 * n)))


_TEXT = (*range(7), *range(8, 15), *range(20, 29), 30, *range(32, 37), 40, *range(42, 49))
_FULL = Profile(_TEXT, (1, 2), (6, 12, 20), (0, 1, 2, 3, 4, 5, 8), (0, 1, 2), 24, 70, 300)
PROFILES = (
    Profile((2, 3, 4, 6, 10), (), (6,), (0,), (0,), 22, 70, 300),
    _FULL,
    Profile((2, 3, 4, 10, 11, 20, 27, 30, 40, 44, 46), (1,), (6, 20), (0, 1, 5), (0, 1), 22, 70, 300),
    replace(
        _FULL,
        contexts=(*_TEXT, *range(49, 63)),
        mixer_contexts=(0, 1, 2, 3, 4, 5, 8, 9, 10),
        apms=(0, 1, 2, 3),
        rate=60,
        layer2_rate=250,
        runs=(1, 2, 3, 4, 6, 10, 11, 12, 14, 22),
        joints=(2, 3, 4, 6, 9, 10),
    ),
)
WEIGHT_ROWS = (264, 256, 256, 256, 64, 512, 32, 2048, 2048, 257, 256)  # by kind of mixer context
APM_CONTEXTS = (256, 256 * 256, 1 << 16, 257 * 256)  # by kind of stage
APM_ENTRIES = 25
CONTEXT_LIMIT, MATCH_LIMIT, DIRECT_LIMIT, RUN_LIMIT, JOINT_LIMIT, APM_LIMIT = 255, 1023, 1023, 1023, 255, 255
CONTEXT_ENTRIES, MATCH_ENTRIES, RUN_ENTRIES, JOINT_ENTRIES = 256, 128, 256, 8192
