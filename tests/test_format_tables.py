"""The tables and constants of docs/FORMAT.md are those of arzip and of the second decoder: none changes alone."""

from __future__ import annotations

import random
import re
import zlib
from functools import cache
from math import exp
from typing import Any

import numpy as np
import pytest
from reference import decoder, spec
from reference.decoder import array, blocks, container, filters, media, opened, picture, sound, tokens
from reference.decoder.memory import contexts, history, maps, matches, mixer, profiles, slots, states
from reference.decoder.numbers import SQUASH, STRETCH
from reference.notation import Value, evaluate
from reference.spec import numbers, one, section, table

from arzip.block_codec import coded
from arzip.context_mixing import logistic, match_model, ngram_table, pretrained, run_model, state, state_table
from arzip.context_mixing import profile as arzip_profiles
from arzip.format import opened_head, records
from arzip.media import array_layout, array_payload, array_values, picture_payload
from arzip.media import payload as sound_payload
from arzip.network.config import NetworkConfig
from arzip.preprocess import bcj
from arzip.preprocess.recompress import packer, recipe

# ----------------------------------------------------------------------------------------------------------- container


def test_header() -> None:
    rows = {row[1]: row for row in table(section("Header: 10, 14 or 18 bytes"), "size")}
    magic = bytes.fromhex(rows["magic"][2].split("`")[1])
    assert magic == records.MAGIC == container.MAGIC and len(magic) == int(rows["magic"][0])
    assert int(rows["version"][2]) == records.VERSION == container.VERSION
    words = dict(re.findall(r"W = (\d): ([\w ,]+)", rows["fields"][2]))
    assert sorted(words) == ["0", "1", "2"] and "dictionary" in words["2"]
    (most,) = one(r"SHA-256 of the dictionary, 1 to (2\^\d+) bytes", section("Header: 10, 14 or 18 bytes"))
    assert most == records.MAX_DICTIONARY_BYTES == decoder.MAX_DICTIONARY_BYTES


def test_frame_bounds_and_methods() -> None:
    text = section("Block: a frame, then the payload")
    rows = {row[1]: row[2] for row in table(text, "size")}
    low, high, mebibytes = numbers(rows["raw size"])
    assert low == 1 and high == records.MAX_BLOCK_BYTES == container.MAX_RAW_BYTES == mebibytes << 20
    assert numbers(rows["coded size"])[1] == records.MAX_CODED_EXCESS_BYTES == container.CODED_EXCESS
    own = [container.MAX_WIDE_LANES, container.MAX_LANES]
    assert one(r"1 to (\d+) in a wide one and 1 to (\d+) in any other", text) == own
    assert own == [records.MAX_WIDE_LANES, records.MAX_LANES]
    ((header, (names,)),) = (each for each in spec.tables(text) if each[0][0] == "method")
    methods = {int(number): name for number, name in zip(header[1:], names[1:], strict=True)}
    assert methods == container.METHODS and list(methods) == [int(method) for method in records.Method]
    parts: dict[int, int] = {}
    for number, name in methods.items():
        own = blocks.NETWORK * ("network" in name) | blocks.MEMORY * ("memory" in name)
        own |= parts.get(number - 1, 0) * ("the same" in name) | blocks.REPEATS * ("repeats" in name)
        parts[number] = own
    assert {number: value for number, value in parts.items() if value} == blocks.TAKES_PART
    with_repeats = coded.WITH_REPEATS.values()
    assert {
        int(method): network * blocks.NETWORK | memory * blocks.MEMORY | (method in with_repeats) * blocks.REPEATS
        for method, (network, memory) in coded.COMPONENTS.items()
    } == blocks.TAKES_PART


def test_profiles_of_each_method() -> None:
    rows = {int(row[0]): row[2] for row in table(section("Block coding"), "method")}
    last = len(profiles.PROFILES) - 1
    assert rows[2] == "0" and rows[4] == rows[5] == rows[7] == f"0 to {last}"
    samples = f"{blocks.PICTURE}: 'Pictures'; {blocks.SOUND}: 'Sound'; {blocks.ARRAY}: 'Arrays'"
    assert rows[3] == f"0 to {last}: see 'Profiles'; {samples}"
    theirs = [picture_payload.PROFILE, sound_payload.PROFILE, array_payload.PROFILE]
    assert [blocks.PICTURE, blocks.SOUND, blocks.ARRAY] == theirs == sorted(blocks.SAMPLES)


def test_end_record() -> None:
    text = section("End record")
    assert bytes.fromhex(text.split("`")[1]) == records.EMPTY_END == container.EMPTY_END
    rows = {row[1]: row for row in table(text, "size")}
    assert bytes.fromhex(rows["mark"][2].strip("`")) == records.END_MARK == container.MARK
    size = int(rows["content check"][0])
    assert size == records.CONTENT_CHECK_BYTES == len(container.end_record([], bytes(8))) - 14


# -------------------------------------------------------------------------------------------------------- block coding


def test_bounds_of_wide_and_opened_blocks() -> None:
    text = section("Block coding")
    assert one(r"longer than (\d+) m \+ (\d+) bytes", text) == [2, blocks.STREAM_EXCESS]
    free, ratio, most = one(r"must be at most (2\^\d+) \+ (\d+) \* raw size, and at most (2\^\d+)", text)
    assert (free, ratio, most) == (
        opened_head.OPENED_FREE_BYTES,
        opened_head.OPENED_RATIO,
        opened_head.MAX_OPENED_BYTES,
    )
    for raw_bytes in (1, 1000, 1 << 26):
        assert opened.most_bytes(raw_bytes) == min(free + ratio * raw_bytes, most)


class Operands:
    """The table of x86 operands."""

    def __init__(self) -> None:
        text = section("Block coding")
        (self.rows,) = (rows for header, rows in spec.tables(text) if header[0].startswith("b[i]"))
        condition = re.search(r"yy & (\w\w) = (\w\w)", text)
        assert condition
        self.mask, self.value = (int(each, 16) for each in condition.groups())

    def at(self, b: bytes) -> tuple[int, int, int] | None:
        """What begins at the first byte: kind, place, bytes behind."""
        for pattern, kind, place, behind in self.rows:
            if self.fits(pattern, b):
                return None if kind == "none" else (int(kind), int(place.split("+")[1]), int(behind))
        return None

    def fits(self, pattern: str, b: bytes) -> bool:
        if match := re.fullmatch(r"(.+); then yy", pattern):
            return is_in(b[0], match[1]) and b[1] & self.mask == self.value
        if match := re.fullmatch(r"(\w\w) zz yy, zz none of (.+)", pattern):
            return is_in(b[0], match[1]) and not is_in(b[1], match[2]) and b[2] & self.mask == self.value
        if match := re.fullmatch(r"(\w\w) (\w)x", pattern):
            return is_in(b[0], match[1]) and b[1] >> 4 == int(match[2], 16)
        return is_in(b[0], pattern.removesuffix(", else"))


@cache
def edges(text: str) -> list[tuple[int, int]]:
    parts = [part.strip().split("-") for part in text.split(",")]
    return [(int(part[0], 16), int(part[-1], 16)) for part in parts]


def is_in(byte: int, text: str) -> bool:
    return any(low <= byte <= high for low, high in edges(text))


def test_operands_of_x86() -> None:
    operands = Operands()
    some = [0x05, 0x0D, 0x3D, 0x04, 0x45, 0xC5, 0x80, 0x8F, 0x38, 0x3A, 0xE8, 0xE9]
    for first in range(256):
        for second in range(256) if first in (0x0F, 0x80, 0x8B) else some:
            for third in (0x05, 0x3D, 0x04, 0x45):
                here = bytes([first, second, third, 0, 0])
                assert filters.operand(bytearray(here), 0) == operands.at(here), here.hex()


@pytest.mark.parametrize("kinds", range(1, 9))
def test_filters_are_undone_alike(kinds: int) -> None:
    source = random.Random(kinds)
    common = bytes.fromhex("e8e90f848b05810d80c6c7380000ffff0094fc97d0b0")
    text = bytes(source.choice(common) if source.random() < 0.9 else source.randrange(256) for _ in range(6000))
    segments = [(0, 1501, 0), (1501, 4000, 2003), (4000, 6000, 1 << 25)]
    assert filters.undo(text, segments, kinds) == bcj.undo(text, kinds, segments)
    assert filters.undo(text, segments, kinds) != text


# --------------------------------------------------------------------------------------------------------- the network


def test_tensors_of_the_network() -> None:
    config = NetworkConfig(d=128, blocks=1, hidden=192, orders=(2, 3, 5), rows=1 << 17, ngram_d=12)
    names = {"d": 128, "H": 192, "g": 12, "G": 4, "R": 1 << 17, "e": 128 - 4 * 12}
    shapes: dict[str, tuple[int, ...]] = {}
    for row in table(section("The weights file"), "tensor"):
        tensors, forms = re.findall(r"`([\w.]+)`", row[0]), re.findall(r"\(([^)]*)\)", row[1])
        for k, name in enumerate(tensors):
            if forms and not name.startswith(("block1", "memory")):
                form = forms[min(k, len(forms) - 1)]
                shapes[name] = tuple(evaluate(size, names) for size in form.split(","))
    tables = {name: shapes.pop(name) for name in ("sigmoid", "exponential")}
    assert shapes == config.shapes()
    assert tables == {"sigmoid": (1024,), "exponential": (2048,)}


def test_tables_of_the_network() -> None:
    import tiny_network

    rows = {row[0]: row[2] for row in table(section("The weights file"), "tensor")}
    middle, top, step, *_ = one(r"entry (\d+) \+ k is (2\^\d+) / \(1 \+ exp\(-k / (\d+)\)\)", rows["`sigmoid`"])
    one_, by, *_ = one(r"entry k is (2\^\d+) exp\(-k / (\d+)\)", rows["`exponential`"])
    tensors = tiny_network.lively()
    expected = [round(top / (1 + exp(-(k - middle) / step))) for k in range(len(tensors["sigmoid"]))]
    assert tensors["sigmoid"].tolist() == expected
    expected = [max(round(one_ * exp(-k / by)), 1) for k in range(len(tensors["exponential"]))]
    assert tensors["exponential"].tolist() == expected


# ---------------------------------------------------------------------------------------------------------- the memory


def test_profiles() -> None:
    rows = table(section("Profiles"), "profile")
    prose = section("Profiles")
    runs = one(r"runs of the context kinds ([-\d, ]+) and joint", prose)
    joints = one(r"joint maps of the kinds ([\d, ]+);", prose)
    assert [int(row[0]) for row in rows] == [*range(len(profiles.PROFILES))]
    known: list[tuple[int, ...]] = []
    for row, own, theirs in zip(rows, profiles.PROFILES, arzip_profiles.PROFILES, strict=True):
        before = known[1] if "those of profile 1" in row[1] else ()
        known.append((*before, *numbers(row[1].replace("those of profile 1", ""))))
        rate, layer2 = numbers(row[7])
        is_full = row[0] == "3"
        from_spec = {
            "contexts": known[-1],
            "direct": tuple(numbers(row[2])),
            "matches": tuple(numbers(row[3])),
            "mixer_contexts": tuple(numbers(row[4])),
            "apms": tuple(numbers(row[5])),
            "slots_bits": int(row[6]),
            "rate": rate,
            "layer2_rate": layer2,
            "runs": tuple(runs) if is_full else (),
            "joints": tuple(joints) if is_full else (),
        }
        for name, value in from_spec.items():
            ours = getattr(own, name)
            assert value == ours, (row[0], name)
            assert set(value) == set(getattr(theirs, name)) if name == "contexts" else value == getattr(theirs, name)


@pytest.mark.parametrize("n", [1, 100, 5000, 70000, 3_000_000, 1 << 26])
def test_sizes_of_tables(n: int) -> None:
    rows = dict(table(section("Profiles"), "what"))
    for profile in profiles.PROFILES:
        names = {"n": n, "C": len(profile.contexts), "slots": profile.slots_bits}
        found = {what.split(",")[0].split(" of ")[0]: form for what, form in rows.items()}
        assert evaluate(found["slots"], names) == profile.slots(n)
        for order in profile.direct:
            assert evaluate(found["rows"], names | {"k": order}) == profile.direct_rows(order, n)
        by_what = {what: evaluate(form, names) for what, form in rows.items() if what.startswith("entries")}
        assert by_what["entries of each match table"] == profile.match_entries(n)
        assert by_what["entries of each run's table"] == profile.run_entries(n)
        if n <= 70000:
            theirs = arzip_profiles.PROFILES[profiles.PROFILES.index(profile)]
            cm = state.create(theirs, np.zeros(1, np.int64), n)
            assert cm.slots.size == slots.SLOT_BYTES * profile.slots(n)
            assert cm.match_table.shape[1] == profile.match_entries(n)
            assert not profile.runs or cm.run_table.shape[1] == profile.run_entries(n)


def crc(values: list[int], size: int) -> str:
    return f"{zlib.crc32(b''.join(int(v).to_bytes(size, 'little', signed=size == 4) for v in values)):08x}"


def test_squash_stretch_and_states() -> None:
    text = " ".join(section("Tables").split())
    of_squash, of_stretch, *_ = re.findall(r": ([0-9a-f]{8})[;,]", text)
    found = re.search(r"a byte each: (\w{8}) up to state (\d+), (\w{8}) up to (\d+)", text)
    assert found
    low, high, top, divisor = one(r"squash\*\*\(x\), -(\d+) <= x <= (\d+): (2\^\d+) / \(1 \+ exp\(-x / (\d+)\)\)", text)
    assert [round(top / (1 + exp(-x / divisor))) for x in range(-low, high + 1)] == SQUASH
    assert logistic.squash_table().tolist() == SQUASH and crc(SQUASH, 4) == of_squash
    assert logistic.stretch_table().tolist() == STRETCH and crc(STRETCH, 4) == of_stretch
    shown = one(r"0 <= P < (\d+): for P >= (\d+) .* nearest to (\d+) \(2 P.* but (\d+) at most", text)
    assert shown == [len(STRETCH), len(STRETCH) // 2, 512, max(STRETCH)]
    theirs = state_table.state_table()[0]
    for table_crc, last in (found[1], found[2]), (found[3], found[4]):
        pairs = [number for pair in states.NEXT[: int(last) + 1] for number in pair]
        assert crc(pairs, 1) == table_crc and theirs[: int(last) + 1].ravel().tolist() == pairs
    assert one(r"e = min\(e \+ 1, \(([\d, ]+)\)\[o\]\)", text) == [*states.LIMITS] == [*state_table.COUNT_LIMITS]
    assert one(r"and n = \(([\d, ]+)\), take", text) == [*states.LIMITS]
    classes = one(r"stands for the count \(([\d, ]+)\)\[class\]", text)
    assert classes == [*states.CLASS_COUNTS] == [*state_table.PRIOR_COUNTS]
    assert one(r"Of these, (\d+) stand", text) == [state_table.FIRST_PRIOR] == [len(states.KNOWN)]
    assert one(r"model file \('n-grams'\): (\d+) \+ 8 A", text) == [states.PRIOR]
    assert one(r"and r' \+ c' at most (\d+);", text) == [state_table.PRIOR_LIMIT]


def test_classes_and_separators() -> None:
    text = section("Push byte, Detect record length")
    words = {"space": 32, "a": 97, "z": 122, "A": 65, "Z": 90}
    found = re.search(r"\*class\* \((.+), else 0\)", text)
    assert found
    classes = [0] * 256
    for part in reversed(found[1].split(", ")):
        number, what = part.split(": ")
        if edges := re.fullmatch(r"(\w)-(\w)", what):
            members = range(ord(edges[1]), ord(edges[2]) + 1)
        elif low := re.fullmatch(r"(\d+) and up", what):
            members = range(int(low[1]), 256)
        elif below := re.fullmatch(r"others below (\d+)", what):
            members = range(int(below[1]))
        else:
            members = [words[word] if word in words else int(word) for word in what.split(" or ")]
        for member in members:
            classes[member] = int(number)
    assert classes == history.CLASSES
    separators = re.search(r"a separator is a space, a tab \((\d+)\) or one of `([^`]+)`", text)
    ends = re.search(r"if b is one of (\S+): +key = word1", text)
    assert separators and ends
    assert {32, int(separators[1]), *separators[2].encode()} == history.SEPARATORS
    from arzip.context_mixing.lane_history import SEPARATORS

    assert {*SEPARATORS} == history.SEPARATORS
    assert {*ends[1].encode()} == history.KEY_ENDS
    assert one(r"if that is above (\d+), record_length2", text) == [history.MIN_SCORE]
    assert one(r"1 < d < (\d+):", text) == [history.MAX_RECORD] == [state.LENGTH_VOTES]


def formulas_of_contexts() -> dict[int, str]:
    """kind -> v, from the table of contexts."""
    found: dict[int, str] = {}
    for row in table(section("Contexts"), "kind"):
        for kind, formula in zip(row[::2], row[1::2], strict=True):
            if kind := kind.replace("*", "").strip():
                found |= {number: formula.split(", of match model 0")[0] for number in numbers(kind)}
    return found


def test_contexts() -> None:
    formulas, source = formulas_of_contexts(), random.Random(1)
    assert sorted(formulas) == [*range(15), *range(20, 63)]
    for _ in range(50):
        past = source.randbytes(16)
        names: dict[str, int] = {name: source.randrange(1 << source.choice([8, 16, 40])) for name in SITUATION}
        values: dict[str, Value] = {**names, **{f"c{k}": past[-k] for k in range(1, 17)}}
        values["N"] = lambda k, past=past: int.from_bytes(past[16 - k :], "big")
        expected = {kind: evaluate(formula, values | {"kind": kind}) for kind, formula in formulas.items()}
        assert contexts.table(past, names) == expected


SITUATION = [*contexts.situation(history.History(0, 1), history.Records(), bytearray(1))]


def test_mixer_contexts() -> None:
    rows: dict[int, str] = {}
    for kinds, row in table(section("Prediction"), "kind"):
        for number, formula in zip(numbers(kinds.replace("*", "")), row.split("; "), strict=False):
            rows[number] = formula if len(numbers(kinds)) > 1 else row
    source = random.Random(2)
    for _ in range(100):
        s = {name: source.randrange(256) for name in ("partial", "c1", "c2", "c3", "expected")}
        s |= {"j": source.randrange(8), "known": source.randrange(8), "classes": source.randrange(1 << 18)}
        s |= {"length": source.randrange(400), "position": source.randrange(9999)}
        s["record_length"] = source.choice([0, 3, 300])
        network, bit = source.choice([None, source.randrange(4096)]), source.choice([None, 0, 1])
        names: dict[str, Value] = {**s, "bucket": maps.bucket, "expected_bit": bit or 0, "P": network or 0}
        expected = []
        for kind in range(11):
            text = rows[kind].replace("expected bit", "expected_bit").replace("expected of match model 0", "expected")
            counted = re.search(r"\(how many of the first (\d+) contexts have a state other than 0\)", text)
            if counted:
                assert int(counted[1]) == mixer.COUNTED_CONTEXTS
                text = text.replace(counted[0], "known")
            if choice := re.fullmatch(r"(.+) if match model 0 expects no bit, else (.+)", text):
                text = choice[1] if bit is None else choice[2]
            elif choice := re.fullmatch(r"(.+) for the network's P; (.+) without a network", text):
                text = choice[2] if network is None else choice[1]
            elif choice := re.fullmatch(r"(.+); (.+) if record_length = 0", text):
                text = choice[1] if s["record_length"] else choice[2]
            expected.append(evaluate(text, names))
        assert mixer.mixer_contexts(s, bit, network) == tuple(expected)


def test_buckets() -> None:
    found = re.search(r"bucket\(l\) = (.+) if l < (\d+), else (.+)\n", section("Maps"))
    assert found
    for length in range(70000):
        formula = found[1] if length < int(found[2]) else found[3]
        assert maps.bucket(length) == evaluate(formula, {"l": length})
        if length > 1100:
            break


def test_limits_of_maps() -> None:
    rows = {row[0]: int(row[2]) for row in table(section("Maps"), "map")}
    own = (profiles.CONTEXT_LIMIT, profiles.DIRECT_LIMIT, profiles.MATCH_LIMIT, profiles.RUN_LIMIT)
    assert [*rows.values()] == [*own, profiles.JOINT_LIMIT, profiles.APM_LIMIT]
    theirs: Any = arzip_profiles.LARGE
    assert own[:3] == (theirs.limit, theirs.direct_limit, theirs.match_limit)
    cm = state.create(theirs, np.zeros(1, np.int64), 100)
    assert cm.limits.tolist() == maps.Maps(profiles.PROFILES[3], 100, None).limits.tolist()


def test_slots_and_ngrams() -> None:
    text = section("Slots")
    (shown,) = re.findall(r"its kind is ([-\w, ]+), the states", " ".join(text.split()).replace(" to ", "-"))
    assert {*numbers(shown)} == slots.PRIOR_KINDS == {*ngram_table.KINDS}
    counts = one(r"has come \(([\d, ]+)\)\[v\] times", text)
    assert counts == [*slots.NIBBLE_COUNTS] == [*ngram_table.LEVEL_COUNTS]
    starts = one(r"of class 0 if 0, else of class 1 to 7 from ([\d, ]+) on", text)
    assert starts == [*slots.CLASS_STARTS] == [*ngram_table.CLASS_STARTS[1:]]


def test_matches_and_runs() -> None:
    text = section("Match models")
    assert one(r"min\(length \+ 1, (\d+)\)", text) == [matches.MAX_LENGTH] == [match_model.MAX_LENGTH]
    assert one(r"at most (\d+), and neither", text) == [matches.MAX_COMPARED] == [match_model.MAX_VERIFIED]
    assert one(r"more than (\d+) bits of miss_history", text) == [matches.MAX_MISSES] == [match_model.MAX_MISSES]
    assert one(r"If s is (\d+) or more", text) == [matches.SPARSE_FROM] == [state.LONG_MATCH]
    assert one(r"min\(count \+ 1, (\d+)\)", section("Run models")) == [matches.MAX_RUN] == [run_model.MAX_COUNT]


def test_starting_state() -> None:
    text = section("Starting state")
    rows = {row[0]: row[1] for row in table(text, "what")}
    profile = profiles.PROFILES[3]
    ours, own = maps.Maps(profile, 100, None), mixer.Mixer(profile, 1, True, None)
    cm = state.create(arzip_profiles.LARGE, np.zeros(1, np.int64), 100)
    cm_words = (cm.maps >> state.MAP_COUNT_BITS, cm.maps & (1 << state.MAP_COUNT_BITS) - 1)
    begins = {
        "context maps": 0,
        "direct maps": ours.bases[len(profile.contexts)],
        "joint maps": ours.bases[ours.joint_begin],
        "APM stages": ours.bases[ours.apm_begin],
    }
    for what, begin in begins.items():
        (form,) = (form for name, form in rows.items() if name.startswith(what))
        p, m = re.fullmatch(r"p = (.+), m = (\d+)", form).groups()
        for i in range(20):
            known = states.KNOWN[i]
            value = evaluate(p, {"a": known.a, "b": known.b, "i": i})
            assert value == ours.p[begin + i] == cm_words[0][begin + i]
            assert int(m) == ours.m[begin + i] == cm_words[1][begin + i]
    v = profile.maps
    first = evaluate(rows["weights of the first input of each of the V maps"], {"V": v})
    assert own.weights[0].tolist() == [first, 0] * v + [0] * 3
    assert cm.weights[0, : 2 * v].tolist() == [first, 0] * v
    sets = len(profile.mixer_contexts)
    layer2 = evaluate(rows["weights of layer 2"], {"S": sets})
    assert own.layer2[3] == [layer2] * sets == cm.layer2_weights[3].tolist()


def test_pretrained_state() -> None:
    text = section("Starting state")
    rows = one(r"kind 0 to 10 has ([\d, ]+) rows", text)
    assert rows == [*profiles.WEIGHT_ROWS] == [*state.WEIGHT_SET_ROWS]
    forms = {row[0]: row[1:] for row in table(text, "tensor")}
    for profile, theirs in zip(profiles.PROFILES, arzip_profiles.PROFILES, strict=True):
        names = {"C": len(profile.contexts), "K": len(profile.matches), "R": len(profile.runs)}
        names |= {"J": profile.joint_maps, "S": len(profile.mixer_contexts)}
        maps_bytes = forms["`memory.P.M.maps`"][0].replace("J'", "J")
        layout = pretrained.layout(theirs)
        assert layout["maps"][0] == (evaluate(maps_bytes, names),)
        assert layout["final"][0] == (256, names["S"])
        assert layout["weights"][0][0] == sum(rows[kind] for kind in profile.mixer_contexts)
        assert layout["weights"][0][1] == -(-(2 * profile.maps + 3) // 16) * 16
    assert numbers(forms["`memory.P.M.maps`"][1])[1:3] == [1 << pretrained.COUNT_BITS, max(pretrained.MAX_COUNTS)]
    low, high = one(r"a power of two, (2\^\d+) to (2\^\d+)", forms["`memory.ngrams`"][0])
    assert (low, high) == (pretrained.NGRAM_ROWS[0], pretrained.NGRAM_ROWS[-1])


# ---------------------------------------------------------------------------------------------------- sound, pictures


def test_experts_and_weights_of_sound() -> None:
    text = section("Sound")
    experts = one(r"experts are these nine \(k, j\): ([\d, ()]+)\.", text)
    assert [*zip(experts[::2], experts[1::2], strict=True)] == [*sound.EXPERTS]
    assert one(r"stages q = 0..3 of N = ([\d, ]+) taps", text) == [*sound.TAPS]
    assert one(r">> \(([\d, ]+) for j = 0, 1, 2\)", text) == [*sound.MEAN_SHIFTS]
    assert one(r"All weights w \(Q20\) start as (\d+),", text) == [sound.FIRST_WEIGHT]
    assert one(r"at\(y\) = [^=]*>> 20, -(\d+), (\d+)\)", text) == [media.END] * 2
    assert one(r"table in Q48 for \|i\| <= (\d+)", text) == [media.STEPS]


def test_terms_and_weights_of_pictures() -> None:
    text = section("Pictures")
    first, later, *_ = table(text, "pixels of")
    places = {"W": (-1, 0), "N": (0, -1), "NW": (-1, -1), "NE": (1, -1), "WW": (-2, 0), "NN": (0, -2)}
    words = re.findall(r"\((-?\d+), (-?\d+)\)|(\w+)", first[1])
    assert [places[word] if word else (int(x), int(y)) for x, y, word in words] == [*picture.OWN]
    assert [(0, 0) if "this" in word else places[word] for word in later[1].split(", ")] == [*picture.EARLIER]
    first_weights = [picture.FIRST_OF_CENTRES, picture.FIRST_OF_SLOTS]
    assert one(r"Weights start as (\d+) for experts, (\d+) for contexts", text) == first_weights
    assert one(r"A table has (2\^\d+) rows", text) == [media.TABLE_ROWS]
    light = re.search(r"for some of the twelve alone: i = ([\d, ]+), of two bytes ([\d, ]+)\.", " ".join(text.split()))
    assert light and tuple(tuple(numbers(each)) for each in light.groups()) == picture.SLOTS[1]
    orders = re.search(r"in the order (0 \(C = 1\).+?\(C = 4\))", " ".join(text.split()))
    assert orders
    found = {int(c): tuple(numbers(order)) for order, c in re.findall(r"([\d, ]+) \(C = (\d)\)", orders[1])}
    assert found == picture.ORDERS


def test_bounds_and_weights_of_arrays() -> None:
    text = section("Arrays")
    rows = {row[1]: row[2] for row in table(text, "size")}
    assert numbers(rows["drop"]) == [0, array.MAX_DROP] and array.MAX_DROP == array_layout.MAX_DROP
    assert numbers(rows["unit"]) == [array.UNIT_BIAS, array.MAX_UNIT]
    assert (array.UNIT_BIAS, array.MAX_UNIT) == (array_layout.UNIT_BIAS, array_layout.MAX_UNIT)
    assert numbers(rows["parts"])[:2] == [1, array.MAX_PARTS] and array.MAX_PARTS == array_layout.MAX_PARTS
    kinds = [array.UNSIGNED, array.SIGNED, array.FLOAT, array.BFLOAT]
    assert kinds == [array_values.UNSIGNED, array_values.SIGNED, array_values.FLOAT, array_values.BFLOAT]
    for kind in kinds:
        known = [8 * size for size in (1, 2, 4, 8) if array_values.is_known(kind, size)]
        assert known == [*array.WIDTHS[kind]]
    experts = one(r"There are eight \(c, s\): ([\d, ()]+);", text)
    assert [*zip(experts[::2], experts[1::2], strict=True)] == [*array.EXPERTS]
    assert one(r">> \(([\d, ]+) for j = 0, 1, 2\)", text) == [*array.ERROR_SHIFTS]
    shown = one(r"Weights start as (\d+) for experts, (\d+) for contexts", text)
    assert shown == [array.FIRST_OF_EXPERTS, array.FIRST_OF_SLOTS]
    fractions = one(r"M = ([\d, ]+) bits of fraction for B = ([\d, ]+), (\d+) for class 3", text)
    assert fractions == [10, 23, 52, 16, 32, 64, 7]
    floats = {(2, bits): m for m, bits in zip(fractions[:3], fractions[3:6], strict=True)}
    assert floats | {(3, 16): 7} == array.FRACTION


# ------------------------------------------------------------------------------------------------------ opened blocks


def test_levels_and_bounds_of_recompression() -> None:
    text = " ".join(spec.text_of(spec.RECOMPRESSION).split())
    levels = re.search(r"Level: good, lazy, nice, chain: (.+?)\. \*Greedy\*: levels 1 to (\d) and (\d+)\.", text)
    assert levels
    found = {int(level): tuple(map(int, rest.split())) for level, rest in re.findall(r"(\d+): ([\d ]+)", levels[1])}
    assert found == {level: values for level, values in tokens.LEVELS.items() if level}
    assert [*found.values()] == [tuple(values) for values in packer.LEVELS[1:]]
    assert (0, *range(1, int(levels[2]) + 1), int(levels[3])) == packer.GREEDY_LEVELS
    assert one(r"A size is (\d+) at least", text) == [opened.MIN_TEXT] == [recipe.MIN_TEXT]
    assert one(r"has at most (2\^\d+) entries", text) == [opened.MAX_ENTRIES] == [recipe.MAX_ENTRIES]
    assert one(r"all c of a recipe at most (2\^\d+) together", text) == [opened.MAX_CHUNKS] == [recipe.MAX_CHUNKS]
    assert one(r"the list begins with \(([\d, ]+)\)", text) == [*opened.FIRST_PACKER]
    assert one(r"sum up to less than (2\^\d+)", text) == [opened.MAX_TOTAL + 1]
    assert one(r"go over the chain .* for (\d+) entries at most", text) == [tokens.MAX_HOPS]
