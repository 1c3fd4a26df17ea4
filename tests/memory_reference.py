"""The memory in plain Python integers, lane by lane: slow, and the judge of the compiled kernels.

It starts from the arrays of `create` and shares no arithmetic with the kernels. What the lanes of a step write is
collected first and merged afterwards, so nothing here can depend on their order.
"""

from __future__ import annotations

from collections import defaultdict

from arzip.context_mixing.profile import Profile
from arzip.context_mixing.state import Memory

WRAP = (1 << 64) - 1
GOLDEN, SPREAD = 0x9E3779B97F4A7C15, 0xD6E8FEB86659FD93
ONE = 1 << 22
COUNTS = (0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 19, 24, 29, 35, 41)  # what the levels of an n-gram's nibbles stand for
STARTS = (1, 2, 3, 5, 9, 15, 29)  # where the classes of a node's counts start


def clip(x: int, low: int, high: int) -> int:
    return min(max(x, low), high)


def mix(a: int, b: int) -> int:
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
    """What one lane remembers of its own bytes."""

    def __init__(self, start: int, matches: int) -> None:
        self.start, self.step, self.partial, self.known = start, 0, 1, 0
        self.past = bytes(16)  # the newest byte last
        self.words = [0, 0, 0]
        self.line = self.line1 = start
        self.first = 0
        self.classes = [0] * 6
        self.seen: dict[int, tuple[int, int]] = {}
        self.match = [[0, 0, 0, 0] for _ in range(matches)]  # pointer, length, record of misses, expected + 1
        self.fields: list[list[int]] = [[], []]  # where those of the line before and of this one start
        self.field, self.field_start, self.field_text, self.line_word, self.key = 0, start, 0, 0, 0
        self.followers: dict[bytes, bytes] = {}


class Reference:
    """The same verbs as the kernels, for the lanes [first, end)."""

    def __init__(self, profile: Profile, memory: Memory) -> None:
        self.profile, self.network = profile, bool(memory.clock[4])
        self.text = [0] * (memory.text.size)
        self.slots, self.maps = [int(v) for v in memory.slots], [int(v) for v in memory.maps]
        self.weights = memory.weights.tolist()
        self.final = memory.final_weights.tolist()
        self.squash, self.stretch = memory.squash.tolist(), memory.stretch.tolist()
        self.history = memory.history.tolist()
        self.strides = memory.strides.tolist()
        self.ngrams, self.counted = memory.ngrams.tolist(), memory.counted.tolist()
        self.rates, self.bases, self.map_bases = memory.rates.tolist(), memory.bases.tolist(), memory.map_bases.tolist()
        self.limits, self.entries = memory.limits.tolist(), memory.recent.shape[1]
        self.recent: list[dict[int, int]] = [{} for _ in profile.matches]
        self.votes = [0] * memory.votes.size
        self.runs: list[dict[int, tuple[int, int, int]]] = [{} for _ in profile.runs]  # index -> check, count, byte
        self.run_entries = memory.run_table.shape[1]
        self.row = self.row2 = self.bit = 0
        self.lanes = [Lane(int(s), len(profile.matches)) for s in memory.starts]

    # contexts

    def back(self, lane: Lane, distance: int) -> int:
        place = lane.start + lane.step
        return self.text[place - distance] if distance and place - distance >= lane.start else 0

    def hashes(self, lane: Lane) -> list[int]:
        place, row, row2 = lane.start + lane.step, self.row, self.row2
        c = [0, *reversed(lane.past)]
        number = int.from_bytes(lane.past, "big")
        word, word1, word2 = lane.words
        above, above2, other = self.back(lane, row), self.back(lane, 2 * row), self.back(lane, row2)
        above_left = self.back(lane, row + 1) if row else 0
        above_next = self.text[place - row + 1] if row > 1 and place - row >= lane.start else 0
        column, other_column = place % row if row else 0, place % row2 if row2 else 0
        line_column, line_above = min(place - lane.line, 255), lane.line1 + place - lane.line
        over = self.text[line_above] if line_above < lane.line else 10
        classes = sum(k << (3 * i) for i, k in enumerate(lane.classes))
        quarter = place & 3
        over_field = 0
        if lane.field < len(lane.fields[0]) and lane.fields[0][lane.field]:
            over_field = self.text[lane.fields[0][lane.field] + place - lane.field_start] + 1
        after, after2 = (int.from_bytes(lane.followers.get(lane.past[16 - n :], b""), "big") for n in (1, 2))
        last = lane.match[-1] if lane.match else [0] * 4
        values = {n: number & ((1 << 8 * n) - 1) for n in range(9)} | {
            9: mix(number & WRAP, (number >> 64) & 0xFFFFFFFF),
            10: word + (0 if word else c[1]),
            11: mix(word if word else c[1], word1),
            12: mix(word, word2),
            13: mix(mix(word, word1), word2),
            14: mix(word1, c[1] << 8 | c[2]),
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
            40: over << 8 | line_column,
            41: over << 8 | c[1],
            42: lane.first << 8 | line_column,
            43: over << 16 | c[1] << 8 | c[2],
            44: classes,
            45: mix(classes & 0o7777, c[1]),
            46: lane.match[0][3] << 8 | min(lane.match[0][1], 31) if lane.match else 0,
            47: quarter << 8 | c[4],
            48: quarter << 16 | c[1] << 8 | c[2],
            49: mix(lane.field_text, lane.field),
            50: over_field << 16 | c[1] << 8 | min(place - lane.field_start, 255),
            51: mix(lane.key, lane.field_text),
            52: mix(lane.key, c[1] << 8 | c[2]),
            53: c[1] << 24 | after,
            54: (c[1] << 8 | c[2]) << 24 | after2,
            55: mix(word, lane.line_word),
            56: mix(mix(lane.line_word, lane.field), over_field),
            57: mix(lane.field_text, over_field),
            58: ((2 * c[2] - c[4]) % 256 << 4 | c[1] >> 4) << 1 | place & 1,
            59: ((2 * c[4] - c[8]) % 256 << 8 | c[1]) << 2 | quarter,
            60: mix(c[1] << 8 | c[2], over << 9 | over_field),
            61: (after2 % 256) << 16 | (after % 256) << 8 | c[1],
            62: mix(last[3] << 8 | min(last[1], 15), c[1]),
        }
        return [mix(values[kind], kind + 1) for kind in self.profile.contexts]

    def begin(self, first: int, end: int) -> None:
        self.bit = 0
        for lane in self.lanes[first:end]:
            lane.partial = 1
            lane.hash = self.hashes(lane)
            lane.direct = []
            for d, order in enumerate(self.profile.direct):
                rows = (self.map_bases[d + 1] - self.map_bases[d]) // 256
                past = int.from_bytes(lane.past[16 - order :], "big")
                if order > 2 or (order == 2 and past >= rows):
                    past = mix(past, order) % rows
                lane.direct.append(self.map_bases[d] + 256 * past)
            lane.run = []  # index, check, count, expected
            for kind, table in zip(self.profile.runs, self.runs, strict=True):
                h = lane.hash[self.profile.contexts.index(kind)]
                index, check = (h >> 20) % self.run_entries, h >> 44 & 0xFFFF
                there, count, byte = table.get(index, (0, 0, 0))
                known = there == check and bool(count or byte)
                lane.run.append((index, check, count, byte) if known else (index, check, 0, None))
        self.find(first, end)

    def find(self, first: int, end: int) -> None:
        chosen, taken = [], defaultdict(list)
        for lane in self.lanes[first:end]:
            lane.slot = []
            for c, h in enumerate(lane.hash):
                if lane.partial > 1:
                    h = mix(h, lane.partial)
                check, index = h >> 56 | 1, h % (len(self.slots) // 16)
                index = index | 2 if index < 2 else index
                at, other = 16 * index, 16 * (index ^ 1)
                if self.slots[at] != check:
                    if self.slots[other] == check:
                        at = other
                    else:
                        at = other if self.slots[other + 1] < self.slots[at + 1] else at
                        taken[at].append((check, c, h))
                chosen.append((lane, at, check))
        for at, claims in taken.items():
            winner = max(claims)[0]
            brought = [self.brought(h) for check, c, h in claims if check == winner and self.counted[c]]
            self.slots[at : at + 16] = [winner, *(max(histories) for histories in zip([0] * 15, *brought, strict=True))]
        for lane, at, check in chosen:
            lane.slot.append(at if self.slots[at] == check else 0)

    def brought(self, h: int) -> list[int]:
        """The histories of nodes 1 .. 15 that the model file has for the context with hash h."""
        row = h >> 24 & len(self.ngrams) - 1
        for check, *pairs in (self.ngrams[row], self.ngrams[row ^ 1]):
            if check == h >> 48 & 255 and pairs[0]:
                break
        else:
            return [0] * 15
        zeros, ones = [0] * 16, [0] * 16
        for pair in pairs:
            node = 1
            for place in range(7, 3, -1):
                bit = pair >> place & 1
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

    def gather(self, lane: Lane, network: int) -> None:
        p, opinions = self.profile, []
        lane.consulted = []  # entry, what it held, whether it is about the bit being 0
        lane.known = 0
        for c, slot in enumerate(lane.slot):
            seen = self.slots[slot + self.node(lane)]
            lane.consulted.append((256 * c + seen, self.maps[256 * c + seen], 0))
            opinions.append((self.maps[256 * c + seen] >> 26, 1) if seen else None)
            lane.known += bool(seen) and c < 7
        for base in lane.direct:
            lane.consulted.append((base + lane.partial, self.maps[base + lane.partial], 0))
            opinions.append((self.maps[base + lane.partial] >> 26, 1))
        for k in range(len(p.matches)):
            bit = self.expectation(lane, k)
            if bit is None:
                lane.consulted.append(None)
                opinions.append(None)
                continue
            _, length, record, _ = lane.match[k]
            at = self.map_bases[len(p.direct)] + 128 * k + 8 * bucket(length) + (record & 3) + 4 * bool(record & 0xFC)
            lane.consulted.append((at, self.maps[at], 1 - bit))
            opinions.append((self.maps[at] >> 26, 1 if bit else -1))
        for r, (_, _, count, byte) in enumerate(lane.run):
            bit = None if byte is None else self.expected_bit(lane, byte)
            at = self.map_bases[len(p.direct) + 1] + 256 * r + 8 * min(count, 31) + self.bit
            lane.consulted.append(None if bit is None else (at, self.maps[at], 1 - bit))
            opinions.append(None if bit is None else (self.maps[at] >> 26, 1 if bit else -1))
        if p.joints:
            self.join(lane, network, opinions)
        x: list[int] = []
        for opinion in opinions:
            x += (
                [0, 0]
                if opinion is None
                else [opinion[1] * self.stretch[opinion[0]], opinion[1] * (opinion[0] - 2048) >> 1]
            )
        x.append(256)
        if self.network:
            x += [self.stretch[network >> 10], ((network >> 10) - 2048) >> 1]
        lane.inputs = x + [0] * (len(self.weights[0]) - len(x))

    def join(self, lane: Lane, network: int, opinions: list[tuple[int, int] | None]) -> None:
        p = self.profile
        direct = len(p.contexts) + len(p.direct)
        second = network >> 10 if self.network else lane.consulted[direct - 1][1] >> 26
        step = (self.stretch[second] + 2048) >> 7
        places: list[tuple[int, int] | None] = []  # within the map, whether it is about the bit being 0
        for kind in p.joints:
            c = p.contexts.index(kind)
            history = lane.consulted[c][0] - 256 * c
            places.append((32 * history + step, 0) if history else None)
        starts = [self.map_bases[len(p.direct)] + 128 * k for k in range(len(p.matches))]
        starts += [self.map_bases[len(p.direct) + 1] + 256 * r for r in range(len(p.runs))]
        for start, consulted in zip(starts, lane.consulted[direct : direct + len(starts)], strict=True):
            if consulted is None:
                places.append(None)
            else:
                at, _, flip = consulted
                places.append((32 * (at - start) + (31 - step if flip else step), flip))
        for j, place in enumerate(places):
            if place is None:
                lane.consulted.append(None)
                opinions.append(None)
            else:
                at = self.map_bases[len(p.direct) + 2] + 8192 * j + place[0]
                lane.consulted.append((at, self.maps[at], place[1]))
                opinions.append((self.maps[at] >> 26, -1 if place[1] else 1))

    def select(self, lane: Lane, network: int) -> None:
        bit, c = self.bit, [0, *reversed(lane.past)]
        expected = self.expectation(lane, 0) if lane.match else None
        match = 0 if expected is None else 1 + 2 * bucket(lane.match[0][1]) + expected
        place = lane.start + lane.step
        rows = (
            match * 8 + bit,
            lane.partial,
            c[1],
            c[2],
            lane.known * 8 + bit,
            sum(k << (3 * i) for i, k in enumerate(lane.classes[:3])),
            (self.stretch[network >> 10] + 2048) >> 7 if self.network else 0,
            (place % self.row % 256 if self.row else 0) * 8 + bit,
            bit << 8 | c[1] >> 5 << 5 | c[2] >> 5 << 2 | (c[3] >> 6),
            lane.match[0][3] if lane.match else 0,
            c[3],
        )
        lane.chosen = [self.bases[s] + rows[kind] for s, kind in enumerate(self.profile.selectors)]

    def blend(self, lane: Lane) -> None:
        lane.mixed = []
        for row in lane.chosen:
            total = sum((w >> 4) * x >> 10 for w, x in zip(self.weights[row], lane.inputs, strict=True))
            lane.mixed.append(clip((total + 32) >> 6, -3200, 3200))
        total = sum(w * m for w, m in zip(self.final[lane.partial], lane.mixed, strict=True))
        lane.logit = clip((total + (1 << 19)) >> 20, -3200, 3200)

    def refine(self, lane: Lane) -> int:
        position = clip(lane.logit + 3072, 0, 24 * 256 - 1)
        step, share = divmod(position, 256)
        mean, shares = 2 * self.squash[lane.logit + 3200], 2
        past = int.from_bytes(lane.past[-3:], "big")
        for f, kind in enumerate(self.profile.finals):
            context = (
                lane.partial,
                lane.past[-1] << 8 | lane.partial,
                mix(past, lane.partial) & 0xFFFF,
                lane.match[0][3] << 8 | lane.partial,
            )[kind]
            at = self.map_bases[len(self.profile.direct) + 3 + f] + 25 * context + step
            low, high = self.maps[at], self.maps[at + 1]
            p = (low >> 16) * (256 - share) + (high >> 16) * share >> 8
            near = share >= 128
            lane.consulted.append((at + near, high if near else low, 0))
            mean, shares = mean + p * (2 if kind else 1), shares + (2 if kind else 1)
        return clip(mean // shares, 12, ONE - 12)

    def predict(self, first: int, end: int, network: list[int]) -> list[int]:
        chances = []
        for i in range(first, end):
            lane = self.lanes[i]
            self.gather(lane, network[i])
            self.select(lane, network[i])
            self.blend(lane)
            chances.append(self.refine(lane))
        return chances

    @staticmethod
    def haste(lane: Lane) -> int:
        if binary := sum(k >= 6 for k in lane.classes):
            return 24 if binary < 3 else 32
        return {6: 8, 5: 16}.get(sum(k in (1, 4) for k in lane.classes), 20)

    def update(self, first: int, end: int, bits: list[int], step: int) -> None:
        rate = self.rates[0] + (self.rates[1] * 2048 // (2048 + step * self.rates[3]) if self.rates[1] else 0)
        touched: dict[int, int] = {}
        histories: dict[int, int] = {}
        for i in range(first, end):
            lane, y = self.lanes[i], bits[i]
            for m, consulted in enumerate(lane.consulted):
                if consulted is not None:
                    at, word, flip = consulted
                    target, n = (y ^ flip) * (ONE - 1), word & 0xFFFF
                    change = (target - (word >> 16)) * ((1 << 17) // (2 * n + 3)) >> 16
                    self.maps[at] += (change << 16) + 1
                    touched[at] = self.limits[m]
            for c, slot in enumerate(lane.slot):
                if slot:
                    at, seen = slot + self.node(lane), lane.consulted[c][0] - 256 * c
                    histories[at] = max(histories.get(at, 0), self.history[seen][y])
            haste = self.haste(lane)
            for row, logit in zip(lane.chosen, lane.mixed, strict=True):
                e = ((y << 22) - self.squash[logit + 3200]) * (rate * haste >> 4) >> 18
                self.weights[row] = [
                    w + (x * e + 2048 >> 12) for w, x in zip(self.weights[row], lane.inputs, strict=True)
                ]
            e = ((y << 22) - self.squash[lane.logit + 3200]) * self.rates[2] >> 18
            final = self.final[lane.partial]
            self.final[lane.partial] = [w + (m * e + 8192 >> 14) for w, m in zip(final, lane.mixed, strict=True)]
        for at, limit in touched.items():
            self.maps[at] = clip(self.maps[at] >> 16, 0, ONE - 1) << 16 | min(self.maps[at] & 0xFFFF, limit)
        for at, seen in histories.items():
            self.slots[at] = seen
        for row in {row for lane in self.lanes[first:end] for row in lane.chosen}:
            self.weights[row] = [clip(w, 1 - (1 << 24), (1 << 24) - 1) for w in self.weights[row]]
        for i in range(first, end):
            self.lanes[i].partial = 2 * self.lanes[i].partial + bits[i]
        self.bit += 1
        if self.bit == 4:
            self.find(first, end)

    # one byte

    def end_byte(self, first: int, end: int, values: list[int]) -> None:
        lanes = self.lanes[first:end]
        for lane, byte in zip(lanes, values[first:end], strict=True):
            self.text[lane.start + lane.step] = byte
        for lane, byte in zip(lanes, values[first:end], strict=True):
            self.push(lane, byte)
            lane.step += 1
        if lanes[0].step % 256 == 0:
            self.choose_rows()
        for lane, byte in zip(lanes, values[first:end], strict=True):
            for k in range(len(lane.match)):
                self.follow(lane, k, byte)
        for k, table in enumerate(self.recent):
            places: dict[int, int] = {}
            for lane in lanes:
                key = self.key(lane, self.profile.matches[k])
                if key is not None and (lane.start + lane.step) % self.strides[k] == 0:
                    places[key] = max(places.get(key, 0), lane.start + lane.step)
            table.update(places)
        for r, table in enumerate(self.runs):
            entries: dict[int, tuple[int, int, int]] = {}
            for lane, byte in zip(lanes, values[first:end], strict=True):
                index, check, count, expected = lane.run[r]
                count = min(count + 1, 255) if expected == byte else 1
                entries[index] = max(entries.get(index, (0, 0, 0)), (check, count, byte))
            table.update(entries)
        self.begin(first, end)

    def push(self, lane: Lane, byte: int) -> None:
        place = lane.start + lane.step
        lane.past = lane.past[1:] + bytes([byte])
        lane.classes = [byte_class(byte), *lane.classes[:5]]
        lower = byte + 32 if 65 <= byte <= 90 else byte
        if 97 <= lower <= 122 or byte >= 128:
            lane.words[0] = mix(lane.words[0], lower + 1)
        elif lane.words[0]:
            lane.words = [0, *lane.words[:2]]
        for n in (1, 2):
            before = lane.past[15 - n : 15]
            lane.followers[before] = (lane.followers.get(before, b"") + bytes([byte]))[-3:]
        self.push_field(lane, byte, place)
        if byte == 10:
            lane.line1, lane.line = lane.line, place + 1
        if place == lane.line or byte == 10:
            lane.first = byte
        before, gap = lane.seen.get(byte, (0, 0))
        distance = place + 1 - before
        if before and distance == gap and 1 < distance < len(self.votes):
            self.votes[distance] += 1
        lane.seen[byte] = (place + 1, distance)

    def push_field(self, lane: Lane, byte: int, place: int) -> None:
        if byte in b"=:>":
            lane.key = lane.words[1]
        if byte not in b'\n\t ,;|"=:<>()[]':
            lane.field_text = mix(lane.field_text, byte + 1)
            return
        if byte == 10:
            lane.fields, lane.field, lane.line_word = [lane.fields[1], [0] * 64], 0, 0
        else:
            lane.fields[1] = lane.fields[1] or [0] * 64
            lane.field, lane.line_word = min(lane.field + 1, 63), lane.line_word or lane.field_text
        lane.fields[1][lane.field] = lane.field_start = place + 1
        lane.field_text = 0

    def choose_rows(self) -> None:
        scores = sorted(((-v * (8 + min(d, 64)), d) for d, v in enumerate(self.votes) if d > 1 and v))
        self.votes = [v - (v >> 2) if d > 1 else v for d, v in enumerate(self.votes)]
        if scores and -scores[0][0] > 600:
            self.row = scores[0][1]
        if len(scores) > 1 and -scores[1][0] > 600:
            self.row2 = scores[1][1]

    def key(self, lane: Lane, n: int) -> int | None:
        if lane.step < n:
            return None
        h, place = n, lane.start + lane.step
        for i in range(n):
            h = (h + self.text[place - 1 - i] + 1) * SPREAD & WRAP
            h ^= h >> 31
        return (h >> 20) % self.entries

    def follow(self, lane: Lane, k: int, byte: int) -> None:
        pointer, length, record, _ = lane.match[k]
        place = lane.start + lane.step
        if pointer:
            hit = self.text[pointer] == byte
            length = min(length + 1, 65535) if hit else 0
            record = (record << 1 | (not hit)) & 0xFFFF
            pointer += 1
        if length < self.profile.matches[k]:
            key = self.key(lane, self.profile.matches[k])
            found = 0 if key is None else self.recent[k].get(key, 0)
            if found and found != pointer:
                same = 0
                while same < min(48, lane.step, found) and self.text[found - 1 - same] == self.text[place - 1 - same]:
                    same += 1
                if same >= self.profile.matches[k]:
                    pointer, length, record = found, same, 0
            elif not found and pointer and not length and record.bit_count() > 8:
                pointer = 0
        if pointer >= len(self.text) - 8:
            pointer = 0
        lane.match[k] = [pointer, length, record, self.text[pointer] + 1 if pointer else 0]
