"""Context mixing in plain Python integers, lane by lane: the slow reference for the compiled kernels.

It starts from the arrays of `create` and shares no arithmetic with the kernels. What the lanes of a step write is
collected first and merged afterwards, so nothing here can depend on their order.
"""

from __future__ import annotations

from collections import defaultdict

from arzip.context_mixing.profile import Profile
from arzip.context_mixing.state import CMState

WRAP = (1 << 64) - 1
GOLDEN, SPREAD = 0x9E3779B97F4A7C15, 0xD6E8FEB86659FD93
ONE = 1 << 22
COUNTS = (0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 19, 24, 29, 35, 41)  # what the levels of an n-gram's nibbles stand for
STARTS = (1, 2, 3, 5, 9, 15, 29)  # where the classes of a node's counts start


def clip(x: int, low: int, high: int) -> int:
    return min(max(x, low), high)


def hash_pair(a: int, b: int) -> int:
    h = ((a & WRAP) + GOLDEN) * SPREAD & WRAP
    h = (h ^ (h >> 29) ^ (b & WRAP)) * GOLDEN & WRAP
    return h ^ (h >> 32)


def byte_class(byte: int) -> int:
    for number, members in enumerate(
        (b"", range(97, 123), range(65, 91), range(48, 58), b" \t", b"\n\r", range(128, 256), range(32))
    ):
        if byte in members:
            return number
    return 0


def bucket(length: int) -> int:
    return (length + 1) >> 1 if length < 16 else min(9 + (length >> 5).bit_length(), 15)


class Lane:
    """The history of one lane."""

    def __init__(self, start: int, matches: int) -> None:
        self.start, self.step, self.partial, self.known_contexts = start, 0, 1, 0
        self.past = bytes(16)  # the newest byte last
        self.words = [0, 0, 0]
        self.line = self.line1 = start
        self.first = 0
        self.classes = [0] * 6
        self.seen: dict[int, tuple[int, int]] = {}
        self.match = [[0, 0, 0, 0] for _ in range(matches)]  # pointer, length, record of misses, expected + 1
        self.fields: list[list[int]] = [[], []]  # where those of the line before and of this one start
        self.field, self.field_start, self.field_hash, self.first_field, self.key = 0, start, 0, 0, 0
        self.indirect: dict[bytes, bytes] = {}


class Reference:
    """The same operations as the kernels, for the lanes [first, end)."""

    def __init__(self, profile: Profile, cm: CMState) -> None:
        self.profile, self.network = profile, bool(cm.clock[4])
        self.text = [0] * (cm.text.size)
        self.slots, self.maps = [int(v) for v in cm.slots], [int(v) for v in cm.maps]
        self.weights = cm.weights.tolist()
        self.final = cm.layer2_weights.tolist()
        self.squash, self.stretch = cm.squash.tolist(), cm.stretch.tolist()
        self.next_state = cm.next_state.tolist()
        self.strides = cm.strides.tolist()
        self.ngrams, self.has_prior = cm.ngrams.tolist(), cm.has_prior.tolist()
        self.rates, self.bases, self.map_bases = cm.rates.tolist(), cm.bases.tolist(), cm.map_bases.tolist()
        self.limits, self.entries = cm.limits.tolist(), cm.match_table.shape[1]
        self.match_table: list[dict[int, int]] = [{} for _ in profile.matches]
        self.length_votes = [0] * cm.length_votes.size
        self.runs: list[dict[int, tuple[int, int, int]]] = [{} for _ in profile.runs]  # index -> check, count, byte
        self.run_entries = cm.run_table.shape[1]
        self.record_length = self.record_length2 = self.bit = 0
        self.lanes = [Lane(int(s), len(profile.matches)) for s in cm.starts]

    # contexts

    def back(self, lane: Lane, distance: int) -> int:
        position = lane.start + lane.step
        return self.text[position - distance] if distance and position - distance >= lane.start else 0

    def hashes(self, lane: Lane) -> list[int]:
        position, row, record_length2 = lane.start + lane.step, self.record_length, self.record_length2
        c = [0, *reversed(lane.past)]
        number = int.from_bytes(lane.past, "big")
        word, word1, word2 = lane.words
        above, above2, other = self.back(lane, row), self.back(lane, 2 * row), self.back(lane, record_length2)
        above_left = self.back(lane, row + 1) if row else 0
        above_next = self.text[position - row + 1] if row > 1 and position - row >= lane.start else 0
        column, other_column = position % row if row else 0, position % record_length2 if record_length2 else 0
        line_column, line_above = min(position - lane.line, 255), lane.line1 + position - lane.line
        byte_above = self.text[line_above] if line_above < lane.line else 10
        classes = sum(k << (3 * i) for i, k in enumerate(lane.classes))
        quarter = position & 3
        field_byte_above = 0
        if lane.field < len(lane.fields[0]) and lane.fields[0][lane.field]:
            field_byte_above = self.text[lane.fields[0][lane.field] + position - lane.field_start] + 1
        indirect1, indirect2 = (int.from_bytes(lane.indirect.get(lane.past[16 - n :], b""), "big") for n in (1, 2))
        last = lane.match[-1] if lane.match else [0] * 4
        values = {n: number & ((1 << 8 * n) - 1) for n in range(9)} | {
            9: hash_pair(number & WRAP, (number >> 64) & 0xFFFFFFFF),
            10: word + (0 if word else c[1]),
            11: hash_pair(word if word else c[1], word1),
            12: hash_pair(word, word2),
            13: hash_pair(hash_pair(word, word1), word2),
            14: hash_pair(word1, c[1] << 8 | c[2]),
            20: c[2],
            21: c[3],
            22: c[2] << 8 | c[3],
            23: c[1] << 8 | c[3],
            24: c[4],
            25: c[3] << 8 | c[4],
            26: c[1] << 8 | c[4],
            27: number & 0xF0F0F0F0,
            28: number & 0xF0F0F0F0F0F0,
            29: (number >> 8) & 0xFFFFFF,
            30: (row << 8 | above) << 16 | column,
            31: above << 8 | c[1],
            32: above << 8 | above2,
            33: (row << 8 | c[1]) << 16 | column,
            34: above << 16 | above_left << 8 | c[1],
            35: (above + c[1] - above_left) & 1023,
            36: row << 16 | column,
            37: (other << 8 | c[1]) << 16 | other_column,
            38: above << 16 | above_next << 8 | c[1],
            39: above << 16 | c[1] << 8 | c[2],
            40: byte_above << 8 | line_column,
            41: byte_above << 8 | c[1],
            42: lane.first << 8 | line_column,
            43: byte_above << 16 | c[1] << 8 | c[2],
            44: classes,
            45: hash_pair(classes & 0o7777, c[1]),
            46: lane.match[0][3] << 8 | min(lane.match[0][1], 31) if lane.match else 0,
            47: quarter << 8 | c[4],
            48: quarter << 16 | c[1] << 8 | c[2],
            49: hash_pair(lane.field_hash, lane.field),
            50: field_byte_above << 16 | c[1] << 8 | min(position - lane.field_start, 255),
            51: hash_pair(lane.key, lane.field_hash),
            52: hash_pair(lane.key, c[1] << 8 | c[2]),
            53: c[1] << 24 | indirect1,
            54: (c[1] << 8 | c[2]) << 24 | indirect2,
            55: hash_pair(word, lane.first_field),
            56: hash_pair(hash_pair(lane.first_field, lane.field), field_byte_above),
            57: hash_pair(lane.field_hash, field_byte_above),
            58: ((2 * c[2] - c[4]) % 256 << 4 | c[1] >> 4) << 1 | position & 1,
            59: ((2 * c[4] - c[8]) % 256 << 8 | c[1]) << 2 | quarter,
            60: hash_pair(c[1] << 8 | c[2], byte_above << 9 | field_byte_above),
            61: (indirect2 % 256) << 16 | (indirect1 % 256) << 8 | c[1],
            62: hash_pair(last[3] << 8 | min(last[1], 15), c[1]),
        }
        return [hash_pair(values[kind], kind + 1) for kind in self.profile.contexts]

    def prepare(self, first: int, end: int) -> None:
        self.bit = 0
        for lane in self.lanes[first:end]:
            lane.partial = 1
            lane.hash = self.hashes(lane)
            lane.direct = []
            for d, order in enumerate(self.profile.direct):
                rows = (self.map_bases[d + 1] - self.map_bases[d]) // 256
                past = int.from_bytes(lane.past[16 - order :], "big")
                if order > 2 or (order == 2 and past >= rows):
                    past = hash_pair(past, order) % rows
                lane.direct.append(self.map_bases[d] + 256 * past)
            lane.run = []  # index, check, count, expected
            for kind, table in zip(self.profile.runs, self.runs, strict=True):
                h = lane.hash[self.profile.contexts.index(kind)]
                index, checksum = (h >> 20) % self.run_entries, h >> 44 & 0xFFFF
                there, count, byte = table.get(index, (0, 0, 0))
                is_known = there == checksum and bool(count or byte)
                lane.run.append((index, checksum, count, byte) if is_known else (index, checksum, 0, None))
        self.find_slots(first, end)

    def find_slots(self, first: int, end: int) -> None:
        chosen, taken = [], defaultdict(list)
        for lane in self.lanes[first:end]:
            lane.slot = []
            for c, h in enumerate(lane.hash):
                if lane.partial > 1:
                    h = hash_pair(h, lane.partial)
                checksum, index = h >> 56 | 1, h % (len(self.slots) // 16)
                index = index | 2 if index < 2 else index
                at, other = 16 * index, 16 * (index ^ 1)
                if self.slots[at] != checksum:
                    if self.slots[other] == checksum:
                        at = other
                    else:
                        at = other if self.slots[other + 1] < self.slots[at + 1] else at
                        taken[at].append((checksum, c, h))
                chosen.append((lane, at, checksum))
        for at, claims in taken.items():
            winner = max(claims)[0]
            priors = [self.prior_states(h) for checksum, c, h in claims if checksum == winner and self.has_prior[c]]
            self.slots[at : at + 16] = [winner, *(max(states) for states in zip([0] * 15, *priors, strict=True))]
        for lane, at, checksum in chosen:
            lane.slot.append(at if self.slots[at] == checksum else 0)

    def prior_states(self, h: int) -> list[int]:
        """The prior states of nodes 1 .. 15 of the context with hash h."""
        row = h >> 24 & len(self.ngrams) - 1
        for checksum, *pairs in (self.ngrams[row], self.ngrams[row ^ 1]):
            if checksum == h >> 48 & 255 and pairs[0]:
                break
        else:
            return [0] * 15
        zeros, ones = [0] * 16, [0] * 16
        for pair in pairs:
            node = 1
            for position in range(7, 3, -1):
                bit = pair >> position & 1
                (ones if bit else zeros)[node] += COUNTS[pair & 15]
                node = 2 * node + bit
        classes = [(sum(z >= n for n in STARTS), sum(o >= n for n in STARTS)) for z, o in zip(zeros, ones, strict=True)]
        return [182 + 8 * z + o if z or o else 0 for z, o in classes[1:]]

    # one bit

    def node(self, lane: Lane) -> int:
        depth = self.bit % 4
        return lane.partial % (1 << depth) | 1 << depth

    def expectation(self, lane: Lane, k: int) -> int | None:
        return self.expected_bit(lane, lane.match[k][3] - 1)

    def expected_bit(self, lane: Lane, byte: int) -> int | None:
        if byte < 0 or (byte | 256) >> (8 - self.bit) != lane.partial:
            return None
        return byte >> (7 - self.bit) & 1

    def add_inputs(self, lane: Lane, network_p: int) -> None:
        p, predictions = self.profile, []
        lane.looked_up = []  # entry, what it held, whether it is about the bit being 0
        lane.known_contexts = 0
        for c, slot in enumerate(lane.slot):
            seen = self.slots[slot + self.node(lane)]
            lane.looked_up.append((256 * c + seen, self.maps[256 * c + seen], 0))
            predictions.append((self.maps[256 * c + seen] >> 26, 1) if seen else None)
            lane.known_contexts += bool(seen) and c < 7
        for base in lane.direct:
            lane.looked_up.append((base + lane.partial, self.maps[base + lane.partial], 0))
            predictions.append((self.maps[base + lane.partial] >> 26, 1))
        for k in range(len(p.matches)):
            bit = self.expectation(lane, k)
            if bit is None:
                lane.looked_up.append(None)
                predictions.append(None)
                continue
            _, length, misses, _ = lane.match[k]
            at = self.map_bases[len(p.direct)] + 128 * k + 8 * bucket(length) + (misses & 3) + 4 * bool(misses & 0xFC)
            lane.looked_up.append((at, self.maps[at], 1 - bit))
            predictions.append((self.maps[at] >> 26, 1 if bit else -1))
        for r, (_, _, count, byte) in enumerate(lane.run):
            bit = None if byte is None else self.expected_bit(lane, byte)
            at = self.map_bases[len(p.direct) + 1] + 256 * r + 8 * min(count, 31) + self.bit
            lane.looked_up.append(None if bit is None else (at, self.maps[at], 1 - bit))
            predictions.append(None if bit is None else (self.maps[at] >> 26, 1 if bit else -1))
        if p.joints:
            self.add_joint_inputs(lane, network_p, predictions)
        x: list[int] = []
        for prediction in predictions:
            x += (
                [0, 0]
                if prediction is None
                else [prediction[1] * self.stretch[prediction[0]], prediction[1] * (prediction[0] - 2048) >> 1]
            )
        x.append(256)
        if self.network:
            x += [self.stretch[network_p >> 10], ((network_p >> 10) - 2048) >> 1]
        lane.inputs = x + [0] * (len(self.weights[0]) - len(x))

    def add_joint_inputs(self, lane: Lane, network_p: int, predictions: list[tuple[int, int] | None]) -> None:
        p = self.profile
        direct = len(p.contexts) + len(p.direct)
        second = network_p >> 10 if self.network else lane.looked_up[direct - 1][1] >> 26
        step = (self.stretch[second] + 2048) >> 7
        places: list[tuple[int, int] | None] = []  # within the map, whether it is about the bit being 0
        for kind in p.joints:
            c = p.contexts.index(kind)
            state = lane.looked_up[c][0] - 256 * c
            places.append((32 * state + step, 0) if state else None)
        starts = [self.map_bases[len(p.direct)] + 128 * k for k in range(len(p.matches))]
        starts += [self.map_bases[len(p.direct) + 1] + 256 * r for r in range(len(p.runs))]
        for start, looked_up in zip(starts, lane.looked_up[direct : direct + len(starts)], strict=True):
            if looked_up is None:
                places.append(None)
            else:
                at, _, inverted = looked_up
                places.append((32 * (at - start) + (31 - step if inverted else step), inverted))
        for j, position in enumerate(places):
            if position is None:
                lane.looked_up.append(None)
                predictions.append(None)
            else:
                at = self.map_bases[len(p.direct) + 2] + 8192 * j + position[0]
                lane.looked_up.append((at, self.maps[at], position[1]))
                predictions.append((self.maps[at] >> 26, -1 if position[1] else 1))

    def select_weight_sets(self, lane: Lane, network_p: int) -> None:
        bit, c = self.bit, [0, *reversed(lane.past)]
        expected = self.expectation(lane, 0) if lane.match else None
        match = 0 if expected is None else 1 + 2 * bucket(lane.match[0][1]) + expected
        position = lane.start + lane.step
        rows = (
            match * 8 + bit,
            lane.partial,
            c[1],
            c[2],
            lane.known_contexts * 8 + bit,
            sum(k << (3 * i) for i, k in enumerate(lane.classes[:3])),
            (self.stretch[network_p >> 10] + 2048) >> 7 if self.network else 0,
            (position % self.record_length % 256 if self.record_length else 0) * 8 + bit,
            bit << 8 | c[1] >> 5 << 5 | c[2] >> 5 << 2 | (c[3] >> 6),
            lane.match[0][3] if lane.match else 0,
            c[3],
        )
        lane.weight_rows = [self.bases[s] + rows[kind] for s, kind in enumerate(self.profile.mixer_contexts)]

    def mix(self, lane: Lane) -> None:
        lane.layer1_logits = []
        for row in lane.weight_rows:
            total = sum((w >> 4) * x >> 10 for w, x in zip(self.weights[row], lane.inputs, strict=True))
            lane.layer1_logits.append(clip((total + 32) >> 6, -3200, 3200))
        total = sum(w * m for w, m in zip(self.final[lane.partial], lane.layer1_logits, strict=True))
        lane.logit = clip((total + (1 << 19)) >> 20, -3200, 3200)

    def refine(self, lane: Lane) -> int:
        position = clip(lane.logit + 3072, 0, 24 * 256 - 1)
        step, share = divmod(position, 256)
        mean, shares = 2 * self.squash[lane.logit + 3200], 2
        past = int.from_bytes(lane.past[-3:], "big")
        for f, kind in enumerate(self.profile.apms):
            context = (
                lane.partial,
                lane.past[-1] << 8 | lane.partial,
                hash_pair(past, lane.partial) & 0xFFFF,
                lane.match[0][3] << 8 | lane.partial,
            )[kind]
            at = self.map_bases[len(self.profile.direct) + 3 + f] + 25 * context + step
            low, high = self.maps[at], self.maps[at + 1]
            p = (low >> 16) * (256 - share) + (high >> 16) * share >> 8
            near = share >= 128
            lane.looked_up.append((at + near, high if near else low, 0))
            mean, shares = mean + p * (2 if kind else 1), shares + (2 if kind else 1)
        return clip(mean // shares, 12, ONE - 12)

    def predict(self, first: int, end: int, network_p: list[int]) -> list[int]:
        probabilities = []
        for i in range(first, end):
            lane = self.lanes[i]
            self.add_inputs(lane, network_p[i])
            self.select_weight_sets(lane, network_p[i])
            self.mix(lane)
            probabilities.append(self.refine(lane))
        return probabilities

    @staticmethod
    def lr_scale(lane: Lane) -> int:
        if binary := sum(k >= 6 for k in lane.classes):
            return 24 if binary < 3 else 32
        return {6: 8, 5: 16}.get(sum(k in (1, 4) for k in lane.classes), 20)

    def update(self, first: int, end: int, bits: list[int], step: int) -> None:
        rate = self.rates[0] + (self.rates[1] * 2048 // (2048 + step * self.rates[3]) if self.rates[1] else 0)
        touched: dict[int, int] = {}
        states: dict[int, int] = {}
        for i in range(first, end):
            lane, y = self.lanes[i], bits[i]
            for m, looked_up in enumerate(lane.looked_up):
                if looked_up is not None:
                    at, word, inverted = looked_up
                    target, n = (y ^ inverted) * (ONE - 1), word & 0xFFFF
                    change = (target - (word >> 16)) * ((1 << 17) // (2 * n + 3)) >> 16
                    self.maps[at] += (change << 16) + 1
                    touched[at] = self.limits[m]
            for c, slot in enumerate(lane.slot):
                if slot:
                    at, seen = slot + self.node(lane), lane.looked_up[c][0] - 256 * c
                    states[at] = max(states.get(at, 0), self.next_state[seen][y])
            lr_scale = self.lr_scale(lane)
            for row, logit in zip(lane.weight_rows, lane.layer1_logits, strict=True):
                e = ((y << 22) - self.squash[logit + 3200]) * (rate * lr_scale >> 4) >> 18
                self.weights[row] = [
                    w + (x * e + 2048 >> 12) for w, x in zip(self.weights[row], lane.inputs, strict=True)
                ]
            e = ((y << 22) - self.squash[lane.logit + 3200]) * self.rates[2] >> 18
            final = self.final[lane.partial]
            self.final[lane.partial] = [
                w + (m * e + 8192 >> 14) for w, m in zip(final, lane.layer1_logits, strict=True)
            ]
        for at, limit in touched.items():
            self.maps[at] = clip(self.maps[at] >> 16, 0, ONE - 1) << 16 | min(self.maps[at] & 0xFFFF, limit)
        for at, seen in states.items():
            self.slots[at] = seen
        for row in {row for lane in self.lanes[first:end] for row in lane.weight_rows}:
            self.weights[row] = [clip(w, 1 - (1 << 24), (1 << 24) - 1) for w in self.weights[row]]
        for i in range(first, end):
            self.lanes[i].partial = 2 * self.lanes[i].partial + bits[i]
        self.bit += 1
        if self.bit == 4:
            self.find_slots(first, end)

    # one byte

    def end_byte(self, first: int, end: int, values: list[int]) -> None:
        lanes = self.lanes[first:end]
        for lane, byte in zip(lanes, values[first:end], strict=True):
            self.text[lane.start + lane.step] = byte
        for lane, byte in zip(lanes, values[first:end], strict=True):
            self.push(lane, byte)
            lane.step += 1
        if lanes[0].step % 256 == 0:
            self.detect_record_length()
        for lane, byte in zip(lanes, values[first:end], strict=True):
            for k in range(len(lane.match)):
                self.advance(lane, k, byte)
        for k, table in enumerate(self.match_table):
            places: dict[int, int] = {}
            for lane in lanes:
                key = self.key(lane, self.profile.matches[k])
                if key is not None and (lane.start + lane.step) % self.strides[k] == 0:
                    places[key] = max(places.get(key, 0), lane.start + lane.step)
            table.update(places)
        for r, table in enumerate(self.runs):
            entries: dict[int, tuple[int, int, int]] = {}
            for lane, byte in zip(lanes, values[first:end], strict=True):
                index, checksum, count, expected = lane.run[r]
                count = min(count + 1, 255) if expected == byte else 1
                entries[index] = max(entries.get(index, (0, 0, 0)), (checksum, count, byte))
            table.update(entries)
        self.prepare(first, end)

    def push(self, lane: Lane, byte: int) -> None:
        position = lane.start + lane.step
        lane.past = lane.past[1:] + bytes([byte])
        lane.classes = [byte_class(byte), *lane.classes[:5]]
        lower = byte + 32 if 65 <= byte <= 90 else byte
        if 97 <= lower <= 122 or byte >= 128:
            lane.words[0] = hash_pair(lane.words[0], lower + 1)
        elif lane.words[0]:
            lane.words = [0, *lane.words[:2]]
        for n in (1, 2):
            before = lane.past[15 - n : 15]
            lane.indirect[before] = (lane.indirect.get(before, b"") + bytes([byte]))[-3:]
        self.push_field(lane, byte, position)
        if byte == 10:
            lane.line1, lane.line = lane.line, position + 1
        if position == lane.line or byte == 10:
            lane.first = byte
        before, gap = lane.seen.get(byte, (0, 0))
        distance = position + 1 - before
        if before and distance == gap and 1 < distance < len(self.length_votes):
            self.length_votes[distance] += 1
        lane.seen[byte] = (position + 1, distance)

    def push_field(self, lane: Lane, byte: int, position: int) -> None:
        if byte in b"=:>":
            lane.key = lane.words[1]
        if byte not in b'\n\t ,;|"=:<>()[]':
            lane.field_hash = hash_pair(lane.field_hash, byte + 1)
            return
        if byte == 10:
            lane.fields, lane.field, lane.first_field = [lane.fields[1], [0] * 64], 0, 0
        else:
            lane.fields[1] = lane.fields[1] or [0] * 64
            lane.field, lane.first_field = min(lane.field + 1, 63), lane.first_field or lane.field_hash
        lane.fields[1][lane.field] = lane.field_start = position + 1
        lane.field_hash = 0

    def detect_record_length(self) -> None:
        scores = sorted(((-v * (8 + min(d, 64)), d) for d, v in enumerate(self.length_votes) if d > 1 and v))
        self.length_votes = [v - (v >> 2) if d > 1 else v for d, v in enumerate(self.length_votes)]
        if scores and -scores[0][0] > 600:
            self.record_length = scores[0][1]
        if len(scores) > 1 and -scores[1][0] > 600:
            self.record_length2 = scores[1][1]

    def key(self, lane: Lane, n: int) -> int | None:
        if lane.step < n:
            return None
        h, position = n, lane.start + lane.step
        for i in range(n):
            h = (h + self.text[position - 1 - i] + 1) * SPREAD & WRAP
            h ^= h >> 31
        return (h >> 20) % self.entries

    def advance(self, lane: Lane, k: int, byte: int) -> None:
        pointer, length, misses, _ = lane.match[k]
        position = lane.start + lane.step
        if pointer:
            hit = self.text[pointer] == byte
            length = min(length + 1, 65535) if hit else 0
            misses = (misses << 1 | (not hit)) & 0xFFFF
            pointer += 1
        if length < self.profile.matches[k]:
            key = self.key(lane, self.profile.matches[k])
            found = 0 if key is None else self.match_table[k].get(key, 0)
            if found and found != pointer:
                same = 0
                while (
                    same < min(48, lane.step, found) and self.text[found - 1 - same] == self.text[position - 1 - same]
                ):
                    same += 1
                if same >= self.profile.matches[k]:
                    pointer, length, misses = found, same, 0
            elif not found and pointer and not length and misses.bit_count() > 8:
                pointer = 0
        if pointer >= len(self.text) - 8:
            pointer = 0
        lane.match[k] = [pointer, length, misses, self.text[pointer] + 1 if pointer else 0]
