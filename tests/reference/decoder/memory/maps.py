"""docs/FORMAT.md, 'Maps': where the entries of all maps stand, how they start, how they learn."""

from __future__ import annotations

import numpy as np

from ..numbers import ONE, bitlen, squash
from ..weights import Array
from . import profiles, states
from .profiles import Profile

COUNT_BITS = 10  # of an entry in a weights file
STEPS = np.array([(1 << 17) // (2 * m + 3) for m in range(profiles.DIRECT_LIMIT + 1)], np.int64)


def bucket(length: int) -> int:
    return (length + 1) >> 1 if length < 16 else min(9 + bitlen(length >> 5), 15)


class Maps:
    """The maps of a profile, one behind the other: contexts, direct, match, run, joint maps, APM stages.

    p (Q22) and m: probability and count of each entry. bases: of each map. limits: of the counts of each map. The
    last entry belongs to no map: it takes what skipped maps would learn.
    """

    def __init__(self, profile: Profile, n: int, initial: Array | None) -> None:
        contexts, matches, runs = len(profile.contexts), len(profile.matches), len(profile.runs)
        kinds = (
            *[(profiles.CONTEXT_ENTRIES, profiles.CONTEXT_LIMIT)] * contexts,
            *[(256 * profile.direct_rows(order, n), profiles.DIRECT_LIMIT) for order in profile.direct],
            *[(profiles.MATCH_ENTRIES, profiles.MATCH_LIMIT)] * matches,
            *[(profiles.RUN_ENTRIES, profiles.RUN_LIMIT)] * runs,
            *[(profiles.JOINT_ENTRIES, profiles.JOINT_LIMIT)] * profile.joint_maps,
            *[(profiles.APM_ENTRIES * profiles.APM_CONTEXTS[kind], profiles.APM_LIMIT) for kind in profile.apms],
        )
        sizes = [size for size, _ in kinds]
        self.limits = np.array([limit for _, limit in kinds], np.int64)
        self.bases = np.cumsum([0, *sizes])
        self.skipped = int(self.bases[-1])
        self.p = np.full(self.skipped + 1, ONE // 2, np.int64)
        self.m = np.zeros(self.skipped + 1, np.int64)
        direct_end = contexts + len(profile.direct)
        self.joint_begin, self.apm_begin = direct_end + matches + runs, profile.maps
        self.start(contexts)
        if initial is not None:
            self.load(initial, contexts, direct_end, profile.apms[:1] == (0,))

    def start(self, contexts: int) -> None:
        """'Starting state'."""
        starts = [states.start_probability(number) for number in range(states.STATES)]
        for c in range(contexts):
            begin = self.bases[c]
            self.p[begin : begin + states.STATES] = starts
            self.m[begin : begin + states.STATES] = 8
        joint, apm, end = self.bases[self.joint_begin], self.bases[self.apm_begin], self.skipped
        curve = [squash(128 * i - 1984) for i in range(32)]
        self.p[joint:apm], self.m[joint:apm] = np.tile(curve, (apm - joint) // 32), 4
        curve = [squash(256 * (i - 12)) for i in range(profiles.APM_ENTRIES)]
        self.p[apm:end], self.m[apm:end] = np.tile(curve, (end - apm) // profiles.APM_ENTRIES), 6

    def load(self, words: Array, contexts: int, direct_end: int, has_order_0: bool) -> None:
        """A pretrained state: all but direct maps and the APM stages of kinds 1 to 3."""
        first, rest = self.bases[contexts], self.bases[direct_end]
        end = self.bases[self.apm_begin] + has_order_0 * profiles.APM_ENTRIES * profiles.APM_CONTEXTS[0]
        places = np.concatenate([np.arange(first), np.arange(rest, end)])
        self.p[places], self.m[places] = words[: len(places)] >> COUNT_BITS, words[: len(places)] % (1 << COUNT_BITS)

    def learn(self, looked_up: list[Array], goals: list[Array]) -> None:
        """'Update', of the entries that each lane looked up; goals: T of each."""
        p, m = [self.p[at] for at in looked_up], [self.m[at] for at in looked_up]
        changes = [((goal - before) * STEPS[count]) >> 16 for goal, before, count in zip(goals, p, m, strict=True)]
        if len(looked_up) > 1:  # what lanes add to one entry is added up
            for at, change in zip(looked_up, changes, strict=True):
                self.p[at] += change
                self.m[at] += 1
            p, m = [self.p[at] for at in looked_up], [self.m[at] for at in looked_up]
        else:
            p, m = [p[0] + changes[0]], [m[0] + 1]
        for at, after, count in zip(looked_up, p, m, strict=True):
            self.p[at] = np.maximum(np.minimum(after, ONE - 1), 0)
            self.m[at] = np.minimum(count, self.limits)
