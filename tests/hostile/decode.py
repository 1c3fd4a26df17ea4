"""decode.py TRIALS [SEED]: hostile blocks with right checks, of every kind, decoded in this process.

Prints how many of each kind came back as what they stand for, and how many raised an error of arzip. Anything else, an
IndexError above all, ends the run. Kernels with bounds checks take minutes to compile, so blocks are made by others:

    decode.py TRIALS [SEED] --make BLOCKS     # pickled
    NUMBA_BOUNDSCHECK=1 ARZIP_KERNELS=numba NUMBA_CACHE_DIR=.. decode.py --checked BLOCKS

--planted shows that the checks are on. test_hostile.py runs all of it.
"""

from __future__ import annotations

import argparse
import gzip
import pickle
import random
import struct
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import tiny_network
from helpers import english

from arzip.codec import Decoder, Options
from arzip.context_mixing import static_shapes
from arzip.engine.cpu_backend import CpuBackend
from arzip.engine.engine import Engine
from arzip.engine.plan import Plan
from arzip.engine.records import MAX_BYTES, RecordEngine
from arzip.errors import ArzipError
from arzip.format import lane_streams, stream
from arzip.format.records import MAX_LANES, MAX_WIDE_LANES, Frame, Method, join_profile
from arzip.format.stream import Block
from arzip.format.varint import pack_varint
from arzip.jit.compile import Kernel, njit
from arzip.media import array_payload, array_values, picture_payload, picture_series
from arzip.media import payload as sound_payload
from arzip.media.array_layout import ArrayLayout
from arzip.media.payload import Layout
from arzip.media.picture_payload import PictureLayout
from arzip.media.picture_series import Shape
from arzip.preprocess import bcj, long_range, opened
from arzip.system.workers import Workers

Trial = Callable[[random.Random], tuple[Frame, bytes, bytes | None]]
PROFILES, FILTERS = range(4), range(9)
COMPONENTS = {
    Method.NETWORK: (True, False),
    Method.MEMORY: (False, True),
    Method.MIXED: (True, True),
    Method.REPEATS: (True, True),
    Method.MEMORY_REPEATS: (False, True),
}
engine = Engine(tiny_network.weights(tiny_network.lively()), CpuBackend(None, False))
engine._backend = CpuBackend(engine.weights, False)
records_engine = RecordEngine(engine)  # whose tables are used again from block to block
after_dictionary = RecordEngine(engine, english(3000))


def text(source: random.Random, size: int) -> bytes:
    """Bytes of some kind."""
    kind = source.randrange(5)
    if kind == 0:
        return english(size + 1000)[source.randrange(1000) :][:size]
    if kind == 1:
        return source.randbytes(size)
    if kind == 2:
        return bytes([source.randrange(256)]) * size
    if kind == 3:
        return (source.randbytes(source.randrange(1, 40)) * size)[:size]
    return bytes(source.choices(b"\xe8\xe9\x0f\x80\x05\x00\xff\x94\xb0", k=size))


def junk(source: random.Random, size: int) -> bytes:
    """A payload that nobody made."""
    kind = source.randrange(4)
    return b"" if kind == 0 else bytes([0, 255][kind > 1] for _ in range(size)) if kind < 3 else source.randbytes(size)


def changed(source: random.Random, data: bytes) -> bytes:
    """Data with a few bytes changed, lost or added."""
    for _ in range(source.randrange(1, 4)):
        at, kind = source.randrange(len(data) + 1), source.randrange(3)
        data = data[:at] + source.randbytes(kind > 0) + data[at + (kind != 2) :]
    return data


def frame_of(method: Method, lanes: int, profile_byte: int, raw: bytes, payload: bytes, raw_bytes: int = 0) -> Frame:
    return Frame(method, lanes, profile_byte, raw_bytes or len(raw), len(payload), zlib.crc32(raw))


def plain(source: random.Random, coder: Engine = engine) -> tuple[Frame, bytes, bytes | None]:
    """A block of methods 2 to 5 and 7: sound, changed, or junk behind a right frame. Of another coder: of one lane."""
    alone = coder is not engine
    method = source.choice(list(COMPONENTS))
    network, memory = COMPONENTS[method]
    size = source.choice([1, 2, source.randrange(1, 300), source.randrange(1, 3000)])
    if alone and source.random() < 0.05:
        size = MAX_BYTES + source.randint(0, 2)  # where tables are no longer used again
    wide = not alone and source.random() < 0.4
    most = 1 if alone else min(size, MAX_WIDE_LANES if wide else MAX_LANES)
    lanes = source.choice([1, source.randint(1, most), min(most, source.randint(1, 12))])
    profile, filter_ = source.choice(PROFILES) if memory else 0, source.choice(FILTERS)
    text_, matches, senseless = text(source, size), b"", False
    listed = wide or method in (Method.REPEATS, Method.MEMORY_REPEATS)
    plan = Plan(lanes, network, profile if memory else None, wide)
    raw = bcj.undo(text_, filter_, long_range.segments([], size))
    if listed:
        matches = b"\0"
        if source.random() < 0.3:
            matches, senseless = b"".join(pack_varint(source.choice([0, 1, size, 1 << 27])) for _ in range(13)), True
        elif source.random() < 0.5:
            matches, raw = repeats(source, text_, filter_)
    if wide:
        streams = engine.encode_wide(text_, plan, lambda _: None)
        payload = lane_streams.pack(streams) if streams is not None else b""
        sound = streams is not None
    else:
        payload, sound = coder.encode(text_, plan, lambda _: None), True
    payload, kind = matches + payload, source.randrange(3)
    if kind:
        payload = changed(source, payload) if kind == 1 else matches + junk(source, source.randrange(2 * size + 20))
    sound = sound and kind == 0 and not senseless and len(payload) <= len(raw) + 1024
    payload = payload[: len(raw) + 1024]
    profile_byte = join_profile(profile, filter_, wide)
    return frame_of(method, lanes, profile_byte, raw, payload), payload, raw if sound else None


def repeats(source: random.Random, text_: bytes, filter_: int) -> tuple[bytes, bytes]:
    """A list of matches, and the raw bytes that they and the text stand for."""
    matches, left, done = [], len(text_), 0
    for _ in range(source.randrange(1, 5)):
        gap = source.randint(0, left)
        left, done = left - gap, done + gap
        if done:
            distance = source.randint(1, done)
            size = source.randint(1, distance)
            matches.append(long_range.LongMatch(gap, size, distance))
            done += size
        else:
            left += gap
    rest = bcj.undo(text_, filter_, long_range.segments(matches, len(text_)))
    return long_range.pack(matches), long_range.restore(rest, matches)


def array(source: random.Random, edge: int, tail: int) -> tuple[bytes, ArrayLayout]:
    """The bytes and the layout of an array in parts."""
    kind, size = source.choice([(k, n) for k in range(4) for n in (1, 2, 4, 8) if array_values.is_known(k, n)])
    parts = []
    for _ in range(source.randint(1, 3)):
        items = source.randrange(1, 60)
        parts.append((items, source.randint(1, items), source.choice([0, source.randint(0, items)])))
    layout = ArrayLayout(edge, tail, kind, size, source.random() < 0.5, tuple(parts))
    return text(source, edge + size * sum(part[0] for part in parts) + tail), layout


def media(source: random.Random) -> tuple[Frame, bytes, bytes | None]:
    """A block of samples, pixels or numbers."""
    edge, tail, which = source.choice([0, 3, 255]), source.choice([0, 2]), source.randrange(3)
    coder: Any = (sound_payload, picture_payload, array_payload)[which]
    layout: Any
    if which == 0:
        layout = Layout(edge, tail, source.randint(1, 8), source.randint(1, 3), *(source.random() < 0.5 for _ in "es"))
        size = layout.channels * layout.sample_bytes * source.randrange(1, 100)
        raw = text(source, edge + size + tail)
    elif which == 1:
        channels, width = source.randint(1, 4), source.choice([1, 2, source.randrange(1, 60), 8000])
        layout = PictureLayout(edge, tail, channels, width, 0)
        raw = text(source, edge + channels * source.randrange(1, 400) + tail)
    else:
        raw, layout = array(source, edge, tail)
    payload, kind = coder.encode(raw, layout, lambda _: None), source.randrange(3)
    if kind:
        head = source.randrange(3, 9)
        parts = (changed(source, payload), payload[:head] + changed(source, payload[head:]))
        payload = (*parts, payload[:head] + junk(source, len(raw)))[source.randrange(3)]
    sound, payload = kind == 0 and len(payload) <= len(raw) + 1024, payload[: len(raw) + 1024]
    frame = frame_of(Method.MEMORY, 1, join_profile(coder.PROFILE, 0), raw, payload)
    return frame, payload, raw if sound else None


def packed(source: random.Random) -> bytes:
    """A file with deflate streams: gzip, or pictures of PNG, of all kinds that have rows."""
    body = text(source, source.randrange(200, 1500))
    if source.random() < 0.4:
        return gzip.compress(body, source.randint(1, 9), mtime=0) + source.randbytes(5)
    return b"".join(png(source, text(source, 1500)) for _ in range(source.randint(1, 3)))


def png(source: random.Random, body: bytes) -> bytes:
    """A PNG of 1 to 1,500 bytes of rows: grey, colours, a palette, with alpha; of 1 to 16 bits; interlaced, too."""
    colour, depths = source.choice([(0, (1, 2, 4, 8, 16)), (2, (8, 16)), (3, (1, 2, 4, 8)), (4, (8, 16)), (6, (8, 16))])
    bits, width = source.choice(depths), source.choice([1, 2, source.randrange(1, 90)])
    row = -(-width * bits * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour] // 8)
    height = max(1, min(30, len(body) // row))
    body = body.ljust(row, b"\1")
    rows = b"".join(bytes([source.randrange(5)]) + body[row * i : row * i + row] for i in range(height))
    about = struct.pack(">2I5B", width, height, bits, colour, 0, 0, source.random() < 0.1)
    chunks = ((b"IHDR", about), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    parts = (struct.pack(">I", len(b)) + k + b + struct.pack(">I", zlib.crc32(k + b)) for k, b in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def recipes(source: random.Random, coder: Engine = engine) -> tuple[Frame, bytes, bytes | None]:
    """An opened block: sound, or its recipe, contents, deviations, pictures, or the head of its payload changed."""
    raw = packed(source)
    forms = source.choice([None, lambda picture: picture.channels, lambda picture: picture.channels, lambda _: 0])
    block = opened.open_block(raw, 1 << 20, forms)
    if block is None:
        return plain(source, coder)
    kind, joined, deviations = source.randrange(5), block.joined, block.deviations
    if kind in (1, 2):
        recipe = joined[: block.recipe_bytes]
        recipe = changed(source, recipe) if kind == 1 else source.randbytes(len(recipe))
        joined = (recipe + joined[block.recipe_bytes :])[: len(joined)].ljust(len(joined), b"\1")
    elif kind == 3:
        deviations = changed(source, deviations) if deviations else source.randbytes(9)
    plan = Plan(
        1 if coder is not engine else source.choice([1, 2, 5]),
        *source.choice([(True, None), (False, 0), (True, 1), (False, 3)]),
    )
    shapes = [(p.values, Shape(len(p.values), *p[2:])) for p in block.apart]
    if kind == 4 and source.random() < 0.5:  # the stream of other pictures than the recipe says
        shapes = [
            (v[: n // s.channels * s.channels], Shape(n // s.channels * s.channels, *s[1:]))
            for v, s in shapes
            for n in [source.randint(s.channels, s.size)]
        ]
    pictures = picture_series.encode(shapes, lambda _: None) if shapes else b""
    if kind == 4 and pictures:
        pictures = changed(source, pictures)
    head = replace(block.head(*plan.components, False, len(pictures)), deviation_bytes=len(deviations))
    if deviations and not head.corrected:
        head = replace(head, corrected=1)
    data = head.pack() + deviations + pictures + coder.encode(joined, plan, lambda _: None)
    if kind == 4 and not shapes:
        data = changed(source, data[:12]) + data[12:]
    sound, data = kind == 0 and len(data) <= len(raw) + 1024, data[: len(raw) + 1024]
    frame = frame_of(Method.OPENED, plan.lanes, join_profile(plan.cm_profile or 0, 0), raw, data)
    return frame, data, raw if sound else None


def short(source: random.Random) -> tuple[Frame, bytes, bytes | None]:
    """A block that is decoded as a record."""
    return (recipes if source.random() < 0.2 else plain)(source, records_engine)


def following(source: random.Random) -> tuple[Frame, bytes, bytes | None]:
    """A block after a dictionary."""
    return (recipes if source.random() < 0.2 else plain)(source, after_dictionary)


Made = tuple[str, str, Frame, bytes, bytes | None]  # kind, name; a block: see Trial
KINDS: dict[str, Trial] = {
    "plain": plain,
    "media": media,
    "recipes": recipes,
    "records": short,
    "dictionary": following,
}
ENGINES = {"records": records_engine, "dictionary": after_dictionary}


@njit()
def planted(array, at):  # type: ignore[no-untyped-def]
    """Reads behind the end."""
    return array[at]


def show(results: Counter[tuple[str, str]], where: TextIO) -> None:
    for (kind, result), count in sorted(results.items()):
        print(kind, result, count, file=where, flush=True)


def blocks(trials: int, seed: int) -> Iterator[Made]:
    """The blocks of numbers 0 to trials - 1."""
    for number in range(trials):
        kind = list(KINDS)[number % len(KINDS)]
        frame, payload, raw = KINDS[kind](random.Random(f"{seed} {number}"))
        assert frame.within_bounds(), frame
        yield kind, f"{seed} {number}", frame, payload, raw


def decode_all(made: Iterable[Made]) -> None:
    """Decode blocks and print what came of them."""
    results: Counter[tuple[str, str]] = Counter()
    with Workers(1) as workers:
        decoder = Decoder(Options(threads=1), workers)
        for kind, name, frame, payload, raw in made:
            decoder.engine_of = lambda _, kind=kind: ENGINES.get(kind, engine)  # type: ignore[method-assign,misc]
            try:
                found = decoder.decode(Block(1, 0, frame, payload), engine.digest)
                sound = stream.is_sound(Block(1, 0, frame, payload), found)
                assert raw is None or (sound and found == raw), (kind, name)
                results[kind, "sound" if sound else "other bytes"] += 1
            except ArzipError:
                assert raw is None, (kind, name)
                results[kind, "refused"] += 1
            if sum(results.values()) % 50 == 0:
                show(results, sys.stderr)
    show(results, sys.stdout)


def check_indices() -> None:
    """One kernel for all profiles; an index out of bounds ends the process, whoever catches what."""

    def call(kernel: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return called(kernel, *args, **kwargs)
        except IndexError as error:
            raise SystemExit(f"IndexError in {kernel.name}: {error}") from error

    # sizes that are compiled in are those of the arrays: the general kernel checks the same in a fifth of the time
    static_shapes.counts_of = lambda cm: None  # type: ignore[assignment]
    called, Kernel.__call__ = Kernel.__call__, call  # type: ignore[method-assign]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("trials", type=int, nargs="?", default=0)
    parser.add_argument("seed", type=int, nargs="?", default=0)
    parser.add_argument("--make", type=Path)
    parser.add_argument("--checked", type=Path)
    parser.add_argument("--planted", action="store_true")
    options = parser.parse_args()
    if options.planted:
        check_indices()
        planted(np.zeros(3), 7)
        sys.exit("no bounds are checked")
    if options.make:
        options.make.write_bytes(pickle.dumps(list(blocks(options.trials, options.seed))))
    elif options.checked:
        check_indices()
        decode_all(pickle.loads(options.checked.read_bytes()))
    else:
        decode_all(blocks(options.trials, options.seed))


if __name__ == "__main__":
    main()
