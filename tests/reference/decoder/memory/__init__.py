"""docs/FORMAT.md, 'The memory': its parts in the order of operations.

numpy holds tables and works on all maps of a lane at once; every number is a whole one, of 64 bits at most.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..numbers import ONE, STRETCH, hash_pair
from ..weights import Array
from . import contexts, history
from .lane import Lane
from .maps import Maps, bucket
from .matches import MatchModel, RunModel
from .mixer import COUNTED_CONTEXTS, Mixer, mixer_contexts, refine
from .profiles import APM_ENTRIES, CONTEXT_ENTRIES, Profile
from .slots import Slots
from .states import NEXT

STRETCHES = np.array(STRETCH, np.int64)
NEXT_STATES = np.array([*NEXT], np.uint8).T
JOINT_STEPS = 32


def sign_of(bit: int | None) -> int:
    return 0 if bit is None else 2 * bit - 1


class Memory:
    """The memory at work on a block of n bytes.

    initial: the tensors maps, weights and final, or None. ngrams: rows of 4 bytes, or none. sizes: of the lanes.
    tables_for: the bytes of the block whose sizes and strides of tables these are, None: n.
    """

    def __init__(
        self,
        profile: Profile,
        n: int,
        sizes: list[int],
        has_network: bool,
        initial: dict[str, Array] | None = None,
        ngrams: bytes = b"",
        tables_for: int | None = None,
    ) -> None:
        self.profile, self.has_network, self.j = profile, has_network, 0
        m = n if tables_for is None else tables_for
        self.text = bytearray(n)
        self.records = history.Records()
        self.maps = Maps(profile, m, initial["maps"] if initial else None)
        self.bases: list[int] = self.maps.bases.tolist()
        self.mixer = Mixer(profile, len(sizes), has_network, initial)
        self.slots = Slots(profile.slots(m), profile.contexts, ngrams)
        self.matches = [MatchModel(k, s, profile.match_entries(m), n, m) for k, s in enumerate(profile.matches)]
        places = [profile.contexts.index(kind) for kind in profile.runs]
        self.runs = [RunModel(r, place, profile.run_entries(m)) for r, place in enumerate(places)]
        self.joint_contexts = np.array([profile.contexts.index(kind) for kind in profile.joints], np.int64)
        self.context_bases = CONTEXT_ENTRIES * np.arange(len(profile.contexts))
        starts = [sum(sizes[:k]) for k in range(len(sizes))]
        self.lanes = [Lane(start, len(profile.matches), profile.maps, len(profile.apms)) for start in starts]
        self.prepare(self.lanes)

    # before each byte

    def prepare(self, lanes: list[Lane]) -> None:
        self.j = 0
        for lane in lanes:
            lane.partial = 1
            lane.hashes = contexts.hashes(lane, self.records, self.text, self.profile.contexts)
            lane.direct = self.direct_rows(lane)
            lane.runs = [model.find(lane) for model in self.runs]
            lane.lr_scale = lane.learning_scale()
        self.slots.find(lanes)

    def direct_rows(self, lane: Lane) -> list[int]:
        found = []
        for d, order in enumerate(self.profile.direct):
            begin, end = self.bases[len(self.profile.contexts) + d :][:2]
            rows, past = (end - begin) // 256, lane.N(order)
            is_row = past < rows and order <= 2  # no profile has larger orders, but a test does
            found.append(begin + 256 * (past if is_row else hash_pair(past, order) % rows))
        return found

    # one bit

    def predict(self, numbers: list[int], network_p: Sequence[int | None]) -> list[int]:
        """For the next bit of these lanes the probability of a 1, Q22."""
        return [self.predict_lane(self.lanes[k], p) for k, p in zip(numbers, network_p, strict=True)]

    def predict_lane(self, lane: Lane, network_p: int | None) -> int:
        apms = self.maps.apm_begin
        self.look_up(lane, network_p)
        p = self.maps.p[lane.looked_up[:apms]] >> 10
        x = np.empty(2 * apms + (3 if self.has_network else 1), np.int64)
        x[0 : 2 * apms : 2] = lane.bit_signs[:apms] * STRETCHES[p]
        x[1 : 2 * apms : 2] = (lane.bit_signs[:apms] * (p - 2048)) >> 1
        x[2 * apms] = 256
        if network_p is not None:
            x[-2:] = STRETCH[network_p >> 10], ((network_p >> 10) - 2048) >> 1
        lane.mixed = self.mixer.predict(x, self.weight_rows(lane, network_p), lane.partial)
        stages = zip(self.bases[apms:-1], self.apm_contexts(lane), strict=True)
        begins = [base + APM_ENTRIES * context for base, context in stages]
        probability, lane.looked_up[apms:] = refine(lane.mixed.logit, begins, self.maps.p)
        return probability

    def expected_bit(self, byte: int | None) -> int | None:
        """The next bit of a byte that is expected; None if there is none or its first bits aren't those known."""
        if byte is None or byte < 0 or (byte | 256) >> (8 - self.j) != self.partial:
            return None
        return byte >> (7 - self.j) & 1

    def look_up(self, lane: Lane, network_p: int | None) -> None:
        """Sets looked_up and bit_signs of all maps before the APM stages."""
        maps, j, contexts_end = self.maps, self.j, len(self.profile.contexts)
        self.partial = lane.partial
        lane.states = self.slots.states[lane.slots + self.node(lane)].astype(np.int64)
        sources, signs = [], []  # of match and run models: the entry within the map; the sign of the bit
        for m in lane.match:
            sources.append(8 * bucket(m.length) + m.miss_history % 4 + (4 if m.miss_history & 0xFC else 0))
            signs.append(sign_of(self.expected_bit(m.expected - 1)))
        for run in lane.runs:
            sources.append(8 * min(run.count, 31) + j)
            signs.append(sign_of(self.expected_bit(run.byte)))
        direct_end = contexts_end + len(lane.direct)
        places = [row + lane.partial for row in lane.direct]
        for base, source, sign in zip(self.bases[direct_end : maps.joint_begin], sources, signs, strict=True):
            places.append(base + source if sign else maps.skipped)
        np.add(self.context_bases, lane.states, out=lane.looked_up[:contexts_end])
        lane.bit_signs[:contexts_end] = lane.states != 0
        lane.looked_up[contexts_end : maps.joint_begin] = places
        lane.bit_signs[direct_end : maps.joint_begin] = signs
        if self.profile.joints:
            self.look_up_joints(lane, sources, network_p)

    def look_up_joints(self, lane: Lane, sources: list[int], network_p: int | None) -> None:
        """'Joint maps'. sources: the entries of the match and run models."""
        begin, end = self.maps.joint_begin, self.maps.apm_begin
        direct_end = begin - len(sources)
        signs = lane.bit_signs[begin:end]
        signs[:] = [*lane.bit_signs[self.joint_contexts], *lane.bit_signs[direct_end:begin]]
        p = int(self.maps.p[lane.direct[-1] + lane.partial]) if network_p is None else network_p
        i = (STRETCH[p >> 10] + 2048) >> 7
        entries = np.array([*lane.states[self.joint_contexts], *sources], np.int64)
        entries = JOINT_STEPS * entries + np.where(signs < 0, JOINT_STEPS - 1 - i, i)
        lane.looked_up[begin:end] = np.where(signs == 0, self.maps.skipped, self.maps.bases[begin:end] + entries)

    def node(self, lane: Lane) -> int:
        return 1 << self.j % 4 | lane.partial % (1 << self.j % 4)

    def weight_rows(self, lane: Lane, network_p: int | None) -> list[int]:
        first = lane.match[0] if lane.match else None
        rows = mixer_contexts(
            {
                "j": self.j,
                "partial": lane.partial,
                "c1": lane.c(1),
                "c2": lane.c(2),
                "c3": lane.c(3),
                "position": lane.position,
                "record_length": self.records.length,
                "classes": lane.classes,
                "known": int(np.count_nonzero(lane.states[:COUNTED_CONTEXTS])),
                "length": first.length if first else 0,
                "expected": first.expected if first else 0,
            },
            self.expected_bit(first.expected - 1) if first else None,
            None if network_p is None else network_p >> 10,
        )
        return [rows[kind] for kind in self.profile.mixer_contexts]

    def apm_contexts(self, lane: Lane) -> list[int]:
        """'APM stages'."""
        partial = lane.partial
        found = (
            partial,
            256 * lane.c(1) + partial,
            hash_pair(lane.N(3), partial) % (1 << 16),
            256 * (lane.match[0].expected if lane.match else 0) + partial,
        )
        return [found[kind] for kind in self.profile.apms]

    def update(self, numbers: list[int], bits: list[int], t: int) -> None:
        """From the bit of each of these lanes."""
        lanes = [self.lanes[k] for k in numbers]
        goals = [((lane.bit_signs > 0) == bool(y)) * (ONE - 1) for lane, y in zip(lanes, bits, strict=True)]
        self.maps.learn([lane.looked_up for lane in lanes], goals)
        self.update_states(lanes, bits)
        self.mixer.learn([lane.mixed for lane in lanes], bits, [lane.lr_scale for lane in lanes], t)
        for lane, y in zip(lanes, bits, strict=True):
            lane.partial = 2 * lane.partial + y
        self.j += 1
        if self.j == 4:
            self.slots.find(lanes)

    def update_states(self, lanes: list[Lane], bits: list[int]) -> None:
        """'States': of several updates of one state the largest number stays."""
        places = [lane.used_slots + self.node(lane) for lane in lanes]
        states = [NEXT_STATES[y][lane.states[lane.used]] for lane, y in zip(lanes, bits, strict=True)]
        for at in places:
            self.slots.states[at] = 0
        for at, new in zip(places, states, strict=True):
            self.slots.states[at] = np.maximum(self.slots.states[at], new)

    # after each byte

    def end_byte(self, numbers: list[int], values: list[int]) -> None:
        """From the byte of each of these lanes; prepares the next one."""
        lanes = [self.lanes[k] for k in numbers]
        for lane, b in zip(lanes, values, strict=True):
            self.text[lane.position] = b
        for lane, b in zip(lanes, values, strict=True):
            lane.push(b, self.records.votes)
            lane.position += 1
        if (lanes[0].position - lanes[0].start) % 256 == 0:
            self.records.detect()
        for model in self.matches:
            for lane, b in zip(lanes, values, strict=True):
                model.advance(lane, b, self.text)
        for model in self.matches:
            model.insert(lanes, self.text)
        for run in self.runs:
            run.insert(lanes, values)
        self.prepare(lanes)
