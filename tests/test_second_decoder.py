"""The second decoder, written after docs/FORMAT.md, reads what arzip writes, and refuses what the spec says is refused.

ARZIP_LONG_TESTS=1 decodes every golden archive whole (some 45 minutes); else the small ones whole, of the others the
first bytes of each lane.
"""

from __future__ import annotations

import ast
import gzip
import io
import os
import subprocess
import sys
import zipfile
import zlib
from dataclasses import replace
from functools import cache
from itertools import cycle
from pathlib import Path

import pytest
import tiny_network
from cm_cases import pretrained_model, random_ngrams
from golden_data import DICTIONARY, GOLDEN, RAWS
from helpers import english
from reference import decoder
from reference.decoder import blocks, container, errors, opened, repeats
from reference.decoder.lanes import lane_sizes
from reference.decoder.parts import Parts, crc16, pack_varint
from test_golden import REFUSED

from arzip import codec, levels
from arzip.block_codec import decoding
from arzip.codec import Options
from arzip.engine.cpu_backend import CpuBackend
from arzip.engine.engine import Engine
from arzip.engine.plan import Plan
from arzip.errors import ArzipError, DamagedError, DictionaryMissingError
from arzip.format import lane_streams
from arzip.format.records import Frame, Header, Method, join_profile
from arzip.preprocess import bcj, long_range
from arzip.weights import registry
from arzip.weights.file import dump_weights, parse_weights

LONG = os.environ.get("ARZIP_LONG_TESTS", "") not in ("", "0")
QUICK = {"empty", "one-byte", "stored", "copies-1", "blocks-1", "members"}
STEPS, FEW_STEPS, SAMPLE_BYTES = 100, 32, 300
FOLDER = Path(decoder.__file__).parent
SAMPLES = {name for name in RAWS if name.startswith(("sound", "picture", "array", "tensors"))}
WHOLE = {"blocks-6", "dictionary-6"}  # what begins after something else
SMALL_SAMPLES = {"sound8-9", "picture-grey-9", "picture-palette-9"}  # of a byte each
OPENED = {name for name in RAWS if name.startswith("packed")}

try:
    MODELS = registry.find(levels.LEVELS[0].model).parent
except ArzipError:
    MODELS = None
needs_models = pytest.mark.skipif(MODELS is None, reason="the shipped models are not at hand")


# --------------------------------------------------------------------------------------------------------- golden ones


@cache
def decoded(archive: bytes) -> bytes:
    assert MODELS is not None
    return decoder.decode(archive, MODELS, DICTIONARY)


@needs_models
@pytest.mark.parametrize("name", [*RAWS] if LONG else sorted(QUICK))
def test_golden_archive_is_decoded_whole(name: str) -> None:
    assert decoded((GOLDEN / "good" / f"{name}.arz").read_bytes()) == RAWS[name]


def first_block(name: str) -> tuple[container.Header, container.Frame, bytes]:
    """Of a golden archive: its header, a frame, a payload."""
    source = Parts((GOLDEN / "good" / f"{name}.arz").read_bytes())
    header = container.read_header(source)
    frame = container.read_frame(source, source.at, source.varint())
    return header, frame, source.take(frame.coded_bytes)


def begin(name: str, steps: int) -> tuple[list[repeats.Match], int, bytes]:
    """Of the only block of an archive: the matches taken out, lanes, raw bytes of which only the first are right."""
    header, frame, payload = first_block(name)
    assert MODELS
    coding = blocks.coding_of(frame, blocks.TAKES_PART[frame.method])
    matches = repeats.read_matches(Parts(payload), frame.raw_bytes) if coding.parts & blocks.REPEATS else []
    model = decoder.find_model(MODELS, header.model)
    raw = blocks.decode_text(Parts(payload), frame.raw_bytes, coding, model, steps=steps)
    return matches, coding.lanes, raw


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_golden_archive_of_samples_begins_alike(name: str) -> None:
    _, frame, payload = first_block(name)
    got = blocks.decode_samples(frame, payload, SAMPLE_BYTES if name in SMALL_SAMPLES else STEPS)
    assert len(got) == len(RAWS[name])
    assert got[:SAMPLE_BYTES] == RAWS[name][:SAMPLE_BYTES] and got != RAWS[name]


@needs_models
@pytest.mark.parametrize("name", sorted(OPENED))
def test_golden_opened_archive_begins_alike_and_is_closed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What arzip's kernels decode of a block is closed by the second decoder; the first bytes are decoded by it."""
    header, frame, payload = first_block(name)
    seen: list[tuple[bytes, list[bytes]]] = []

    def close(head: object, deviations: bytes, joined: bytes, size: int, values: list[bytes]) -> bytes:
        seen.append((bytes(joined), [bytes(value) for value in values]))
        return theirs(head, deviations, joined, size, values)  # type: ignore[arg-type]

    theirs = decoding.opened.close_block
    monkeypatch.setattr(decoding.opened, "close_block", close)
    codec.decompress(io.BytesIO((GOLDEN / "good" / f"{name}.arz").read_bytes()), io.BytesIO(), Options())
    ((joined, pictures),) = seen
    monkeypatch.setattr(opened, "decode_apart", lambda _, shapes: pictures)
    source = Parts(payload)
    head = opened.read_head(source, frame.raw_bytes)
    recipe, contents = joined[: head.recipe_bytes], joined[head.recipe_bytes :]
    assert opened.close(head, recipe, contents, frame.raw_bytes) == RAWS[name]
    assert MODELS and head.parts & blocks.REPEATS == 0 and frame.lanes == 1
    model = decoder.find_model(MODELS, header.model)
    got = blocks.decode_text(source, len(joined), blocks.coding_of(frame, head.parts), model, steps=STEPS)
    assert got[: STEPS - 8] == joined[: STEPS - 8]  # a filter's last operand may end behind


@needs_models
@pytest.mark.parametrize("name", sorted({*RAWS} - QUICK - SAMPLES - OPENED - WHOLE))
def test_golden_archive_begins_alike(name: str) -> None:
    steps = STEPS if first_block(name)[1].lanes < 10 else FEW_STEPS
    matches, lanes, got = begin(name, steps)
    raw = RAWS[name]
    rest_bytes = len(raw) - sum(match.size for match in matches)
    pieces = [(place, place + end - begin) for begin, end, place in repeats.segments(matches, rest_bytes)]
    raw_rest, got_rest = (b"".join(data[begin:end] for begin, end in pieces) for data in (raw, got))
    start = 0
    for size in lane_sizes(rest_bytes, lanes):
        # A filter's last operand may end behind what was decoded, its first one begin in what wasn't.
        first, end = start + (16 if start else 0), start + steps - 8
        assert got_rest[first:end] == raw_rest[first:end]
        start += size


@needs_models
@pytest.mark.parametrize("path", REFUSED, ids=lambda path: path.stem)
def test_golden_bad_archive_is_refused(path: Path) -> None:
    assert MODELS is not None
    if path.stem.startswith("damaged") and not LONG:
        pytest.skip("decodes a whole text before its check: ARZIP_LONG_TESTS=1")
    with pytest.raises(getattr(errors, path.stem.rsplit("-", 1)[1].removesuffix("Error"))):
        decoder.decode(path.read_bytes(), MODELS)


# ------------------------------------------------------------------------- what no golden archive has, by a tiny model


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny model, without and with a pretrained memory, the latter gzip'd."""
    folder = tmp_path_factory.mktemp("models")
    (folder / "plain.safetensors").write_bytes(tiny("plain"))
    (folder / "full.safetensors.gz").write_bytes(gzip.compress(tiny("full"), mtime=0))
    return folder


@cache
def tiny(kind: str) -> bytes:
    tensors = tiny_network.lively()
    if kind == "full":
        tensors = pretrained_model()[0] | {"memory.ngrams": random_ngrams(3)}
    return dump_weights(tiny_network.SHAPE, tensors, {"name": kind})


def check(archive: bytes, raw: bytes, models: Path) -> None:
    """arzip and the second decoder read alike."""
    sink = io.BytesIO()
    model = next(path for path in models.iterdir() if registry.file_digest(path) == archive[8:12])
    codec.decompress(io.BytesIO(archive), sink, Options(model=str(model), threads=1))
    assert sink.getvalue() == raw
    assert decoder.decode(archive, models) == raw


def coded_block(
    raw: bytes, method: Method, plan: Plan, data: bytes, filter_: int = 0, single: bool = True
) -> tuple[Frame, bytes]:
    """A frame and its payload. Repeats are taken out where method or plan allow it."""
    has_list = plan.wide or method in (Method.REPEATS, Method.MEMORY_REPEATS)
    matches = long_range.find(raw, 40) if has_list else []
    rest = long_range.extract(raw, matches)
    text = bcj.apply(rest, filter_, long_range.segments(matches, len(rest)))
    weights = parse_weights(data, "tiny")
    engine = Engine(weights, CpuBackend(weights, False))
    start = long_range.pack(matches) if has_list else b""
    if plan.wide:
        streams = engine.encode_wide(text, plan, lambda _: None)
        assert streams is not None
        payload = start + lane_streams.pack(streams)
    else:
        payload = start + engine.encode(text, plan, lambda _: None)
    profile_byte = join_profile(plan.cm_profile or 0, filter_, plan.wide)
    return Frame(method, plan.lanes, profile_byte, len(raw), len(payload), zlib.crc32(raw), single), payload


CODE = b"\x55\xe8\x10\x00\x00\x00\x48\x8b\x05\x22\x01\x00\x00\x90\xe9\x00\xff\xff\xff\x0f\x84\x31\0\0\0" * 4
CASES = {  # method, plan, filter
    "network": (Method.NETWORK, Plan(3, True, None), 0),
    "network-wide": (Method.NETWORK, Plan(2, True, None, True), 7),
    "memory": (Method.MEMORY, Plan(4, False, 3), 1),
    "mixed": (Method.MIXED, Plan(5, True, 1), 8),
    "repeats": (Method.REPEATS, Plan(3, True, 2), 5),
    "memory-repeats": (Method.MEMORY_REPEATS, Plan(2, False, 1), 6),
    "repeats-wide": (Method.REPEATS, Plan(3, True, 3, True), 2),
    "mixed-wide": (Method.MIXED, Plan(2, True, 0, True), 4),
}


@pytest.mark.parametrize(("case", "kind"), [*zip(CASES, cycle(["plain", "full"]), strict=False), ("mixed", "plain")])
def test_every_method_is_read_alike(case: str, kind: str, models: Path) -> None:
    method, plan, filter_ = CASES[case]
    raw = english(70) + CODE + english(60)
    file = next(path for path in models.iterdir() if path.name.startswith(kind))
    frame, payload = coded_block(raw, method, plan, file.read_bytes(), filter_)
    check(Header(registry.file_digest(file)).pack() + frame.pack() + payload, raw, models)


@pytest.mark.parametrize("level", [1, 3, 6, 9])
def test_blocks_after_a_dictionary_are_read_alike(level: int, models: Path) -> None:
    dictionary, raw = english(150) + CODE, english(130)[60:] + CODE[40:] + b"."
    sink = io.BytesIO()
    model = str(models / "plain.safetensors")
    codec.compress(io.BytesIO(raw), sink, Options(level, model, threads=1, dictionary=dictionary))
    archive = sink.getvalue()
    assert decoder.decode(archive, models, dictionary) == raw
    for other in (b"", dictionary[1:]):
        with pytest.raises(errors.DictionaryMissing):
            decoder.decode(archive, models, other)
        with pytest.raises(DictionaryMissingError):
            codec.decompress(io.BytesIO(archive), io.BytesIO(), Options(model=model, dictionary=other))


def test_blocks_that_need_no_dictionary_are_read_without(models: Path) -> None:
    file = models / "plain.safetensors"
    header = Header(registry.file_digest(file), b"dict").pack()
    for raw, method, plan in (
        (english(60), Method.MEMORY, Plan(2, False, 0)),
        (english(50), Method.MEMORY, Plan(1, False, 0, True)),
    ):
        frame, payload = coded_block(raw, method, plan, file.read_bytes())
        assert decoder.decode(header + frame.pack() + payload, models) == raw
    stored = Frame(Method.STORED, 0, 0, 3, 3, zlib.crc32(b"abc"), True)
    assert decoder.decode(header + stored.pack() + b"abc", models) == b"abc"


def test_the_command_takes_a_dictionary(models: Path, tmp_path: Path) -> None:
    raw, dictionary = english(40), english(60)
    (tmp_path / "raw").write_bytes(dictionary)
    sink = io.BytesIO()
    options = Options(1, str(models / "plain.safetensors"), threads=1, dictionary=dictionary)
    codec.compress(io.BytesIO(raw), sink, options)
    (tmp_path / "archive").write_bytes(sink.getvalue())
    command = [sys.executable, "-m", "tests.reference.decoder", str(tmp_path / "archive"), str(models)]
    root = Path(__file__).parents[1]
    with_it = subprocess.run([*command, "--dictionary", str(tmp_path / "raw")], cwd=root, capture_output=True)
    assert with_it.stdout == raw
    without = subprocess.run(command, cwd=root, capture_output=True)
    assert without.returncode == 1 and without.stderr.startswith(b"DictionaryMissing")


def zip_of(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            file.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def png() -> bytes:
    """A PNG of a slope, 24 x 16 pixels of 3 channels."""
    rows = b"".join(b"\1" + bytes(3) + bytes([3, 1, 2]) * 23 for _ in range(16))
    parts = [(b"IHDR", b"\0\0\0\x18\0\0\0\x10\x08\2\0\0\0"), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b"")]
    chunks = (
        len(data).to_bytes(4, "big") + name + data + zlib.crc32(name + data).to_bytes(4, "big") for name, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


STREAMS = {
    "gzip": gzip.compress(english(200), mtime=0),
    "nested": zip_of({"a.txt": english(120), "b.gz": gzip.compress(english(150), mtime=0)}),
    "png": png(),
    "other-packer": zlib.compress(english(400), 2)[:150] + zlib.compress(english(200), 9),
    "flushed": (lambda packer: packer.compress(english(200)) + packer.flush(zlib.Z_SYNC_FLUSH) + packer.flush())(
        zlib.compressobj(6, zlib.DEFLATED, -15)
    ),
}


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("name", STREAMS)
def test_opened_blocks_are_read_alike(name: str, wide: bool, models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(levels, "WIDE_LANE_BYTES", 200)
    monkeypatch.setattr(levels, "WIDE_ALONE_LANE_BYTES", 200)
    sink = io.BytesIO()
    options = Options(model=str(models / "plain.safetensors"), threads=1, level=7, wide=wide)
    codec.compress(io.BytesIO(STREAMS[name]), sink, options)
    check(sink.getvalue(), STREAMS[name], models)


def test_members_of_several_blocks_and_several_members_are_read_alike(models: Path) -> None:
    first, second = english(60), bytes(range(50))
    file = models / "plain.safetensors"
    coded, payload = coded_block(first, Method.MEMORY, Plan(1, False, 0), file.read_bytes(), single=False)
    stored = Frame(Method.STORED, 0, 0, len(second), len(second), zlib.crc32(second))
    index = [(len(coded.pack()) + len(payload), len(first)), (len(stored.pack()) + len(second), len(second))]
    content = decoder.container.hashlib.blake2b(first + second, digest_size=8).digest()
    member = Header(registry.file_digest(file)).pack() + coded.pack() + payload + stored.pack() + second
    member += container.end_record(index, content)
    check(member, first + second, models)
    empty = Header(b"").pack() + container.EMPTY_END
    alone = Header(b"").pack() + replace(stored, single_block=True).pack() + second
    assert decoder.decode(member + empty + alone, models) == first + second + second
    for wrong in (
        member[:-30] + bytes([member[-30] ^ 1]) + member[-29:],  # the index
        member[:-20] + bytes([member[-20] ^ 1]) + member[-19:],  # the content check
        Header(b"").pack() + stored.pack() + second + container.end_record(index[1:], content),  # of one block
        Header(b"").pack() + stored.pack() + second + alone[10:],  # a single block after another
        Header(b"").pack() + coded.pack() + payload,  # a coded block without a model
    ):
        with pytest.raises(errors.Damaged):
            decoder.decode(wrong, models)
    for short in (member[:-1], member[:-40], member[: len(member) // 2], alone[:-1], alone[:9], empty[:-1]):
        with pytest.raises(errors.Truncated):
            decoder.decode(short, models)
    for other in (b"", b"PK", member + b"x", alone + b"\0"):
        with pytest.raises(errors.NotAnArchive):
            decoder.decode(other, models)


# ------------------------------------------------------------------------------------------------- what must be refused


def archive_of(frame: Frame, payload: bytes, models: Path) -> bytes:
    frame = replace(frame, coded_bytes=len(payload), single_block=True)
    return Header(registry.file_digest(models / "plain.safetensors")).pack() + frame.pack() + payload


def wrong_frames() -> dict[str, tuple[Frame, bytes, type[Exception]]]:
    frame = Frame(Method.MEMORY, 1, 0, 60, 0, 0)
    repeats_frame, opened_frame = replace(frame, method=Method.MEMORY_REPEATS), replace(frame, method=Method.OPENED)
    sound, picture, array = (replace(frame, profile_byte=profile) for profile in (5, 4, 6))
    wide = replace(frame, profile_byte=8, lanes=2)
    return {
        "profile": (replace(frame, profile_byte=7), b"", errors.Unsupported),
        "filter": (replace(frame, profile_byte=9 << 4), b"", errors.Unsupported),
        "network-profile": (replace(frame, method=Method.NETWORK, profile_byte=1), b"", errors.Unsupported),
        "lanes": (replace(frame, lanes=61), b"", errors.Damaged),
        "match-before-the-block": (repeats_frame, b"\1\5\3\6", errors.Damaged),
        "match-onto-itself": (repeats_frame, b"\1\5\4\3", errors.Damaged),
        "matches-beyond": (repeats_frame, b"\1\x32\x14\x32", errors.Damaged),
        "no-rest": (replace(repeats_frame, lanes=33), b"\1\x20\x1c\x20", errors.Damaged),
        "long-varint": (repeats_frame, b"\x81\0", errors.Damaged),
        "list-cut-short": (repeats_frame, b"\2\5\3", errors.Damaged),
        "stream-too-long": (wide, b"\0\x7d" + bytes(200), errors.Damaged),
        "stream-cut-short": (wide, b"\0\x0a" + bytes(5), errors.Damaged),
        "opened-by-nothing": (opened_frame, b"\4\x10\0\0", errors.Damaged),
        "opened-into-too-much": (opened_frame, b"\2\xff\xff\xff\x7f\0\0", errors.Damaged),
        "deviations-of-no-stream": (opened_frame, b"\2\x10\0\1\1a", errors.Damaged),
        "sound-layout": (sound, b"\0\0\x80", errors.Damaged),
        "sound-of-half-frames": (sound, b"\1\0\x49a", errors.Damaged),
        "sound-filter": (replace(sound, profile_byte=5 | 1 << 4), b"\0\0\0", errors.Damaged),
        "picture-of-5-channels": (picture, b"\0\0\5\1\0", errors.Damaged),
        "picture-of-half-pixels": (picture, b"\0\0\3\x07\1", errors.Damaged),
        "picture-in-an-order-of-one-byte": (picture, b"\0\0\x23\1\0", errors.Damaged),
        "picture-signed-of-one-byte": (picture, b"\0\0\x43\1\0", errors.Damaged),
        "picture-of-half-values": (picture, b"\1\0\x11\x1d\0a", errors.Damaged),
        "array-of-bytes": (array, b"\0\0\4\0\0\x40\1\x3c\1\0", errors.Damaged),
        "array-unsigned-of-8-bytes": (array, b"\4\0\3\0\0\x40\1\7\1\0aaaa", errors.Damaged),
        "array-bfloat-of-4-bytes": (array, b"\0\0\x0e\0\0\x40\1\x0f\1\0", errors.Damaged),
        "array-form": (array, b"\0\0\x4a\0\0\x40\1\x0f\1\0", errors.Damaged),
        "array-plain": (array, b"\0\0\x0a\x09\0\x40\1\x0f\1\0", errors.Damaged),
        "array-drop": (array, b"\0\0\x0a\0\x1d\x40\1\x0f\1\0", errors.Damaged),
        "array-unit": (array, b"\0\0\x0a\0\0\x81\x20\1\x0f\1\0", errors.Damaged),
        "array-without-parts": (array, b"\0\0\x0a\0\0\x40\0", errors.Damaged),
        "array-too-long": (array, b"\0\0\x0a\0\0\x40\1\x10\1\0", errors.Damaged),
        "array-row": (array, b"\0\0\x0a\0\0\x40\1\x0f\x10\0", errors.Damaged),
        "array-plane": (array, b"\0\0\x0a\0\0\x40\1\x0f\1\x10", errors.Damaged),
        "array-empty-part": (array, b"\0\0\x0a\0\0\x40\2\x0f\1\0\0\1\0", errors.Damaged),
        "array-cut-short": (array, b"\x08\0\x0a\0\0\x40\1\x0d\1\0aaa", errors.Damaged),
        "array-wide": (replace(array, profile_byte=6 | 8), b"\0\0\x0a\0\0\x40\1\x0f\1\0", errors.Damaged),
        "picture-in-lanes": (replace(picture, lanes=2), b"\0\0\3\1\0", errors.Damaged),
    }


@pytest.mark.parametrize("name", wrong_frames())
def test_what_breaks_the_spec_is_refused_by_both(name: str, models: Path) -> None:
    frame, payload, error = wrong_frames()[name]
    archive = archive_of(frame, payload, models)
    with pytest.raises(error):
        decoder.decode(archive, models)
    with pytest.raises(ArzipError) as caught:
        codec.decompress(io.BytesIO(archive), io.BytesIO(), Options(model=str(models / "plain.safetensors")))
    assert type(caught.value).__name__ == f"{error.__name__}Error"


@pytest.mark.parametrize(("lanes", "profile_byte"), [(65, 0), (257, 8)])
def test_too_many_lanes_are_refused(lanes: int, profile_byte: int, models: Path) -> None:
    frame = pack_varint(lanes << 4 | 1 << 3 | Method.MEMORY) + bytes([profile_byte]) + pack_varint(999) + bytes(5)
    archive = Header(b"1234").pack() + frame + crc16(frame).to_bytes(2, "little")
    with pytest.raises(errors.Damaged):
        decoder.decode(archive, models)
    with pytest.raises(DamagedError):
        codec.decompress(io.BytesIO(archive), io.BytesIO(), Options())


def test_other_bytes_of_a_stream_are_found_out(models: Path) -> None:
    frame, payload = coded_block(english(80), Method.MEMORY, Plan(1, False, 0), tiny("plain"))
    wrong = payload[:10] + bytes([payload[10] ^ 4]) + payload[11:]
    with pytest.raises(errors.Damaged):
        decoder.decode(archive_of(frame, wrong, models), models)


# ------------------------------------------------------------------------------------------------------------- its wall


def foreign_imports(source: str, allowed: set[str]) -> list[str]:
    """What a module imports beside the standard library, its own package and `allowed`."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.append(node.module or "")
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("__import__", "exec", "eval"):
            found.append("a call of " + node.func.id)  # type: ignore[attr-defined]
    known = {*sys.stdlib_module_names, *allowed} - {"importlib"}
    return [name for name in found if name.split(".")[0] not in known]


def test_the_decoder_imports_the_standard_library_and_numpy_alone() -> None:
    paths = sorted(FOLDER.rglob("*.py"))
    assert len(paths) > 20
    assert {path.name: foreign_imports(path.read_text("utf-8"), {"numpy"}) for path in paths} == {
        path.name: [] for path in paths
    }


@pytest.mark.parametrize(
    "line", ["import arzip", "from arzip.coding import wide", "import torch", "from reference.x import y", "exec('x')"]
)
def test_a_planted_import_is_seen(line: str) -> None:
    assert foreign_imports(f"import numpy\nfrom . import x\n{line}", {"numpy"})
