"""What is fuzzed: each target takes any bytes, and lets no exception through but those that a user may meet.

container: archives as streams. salvage: damaged ones. recompress: the scanners of containers and their way back.
model: weights files. Checks of the archive's records are always right here, since a fuzzer finds none.
"""

from __future__ import annotations

import io
import struct
import types
import zlib
from collections.abc import Callable
from contextlib import suppress

from arzip.errors import ArzipError, ModelError
from arzip.format import parts, pieces, records, salvage, stream
from arzip.format.opened_head import OpenedHead, max_opened_bytes
from arzip.format.records import Header, Method
from arzip.preprocess import opened
from arzip.weights import file, head

MAX_RAW_BYTES = 1 << 20  # of a block that is put together


def switch_checks_off() -> None:
    """Let every check of a header, a frame and an end record be 0, and 0 be right."""
    records.crc16 = lambda data: 0  # type: ignore[assignment]
    records.zlib = types.SimpleNamespace(crc32=lambda data, value=0: 0)  # type: ignore[attr-defined]
    records.EMPTY_END = stream.EMPTY_END = salvage.EMPTY_END = bytes([records.EMPTY_END_HEAD, 0, 0])  # type: ignore[attr-defined]


def container(data: bytes) -> None:
    """All readers of a stream of records agree."""
    listed: list[object] | str = []
    try:
        listed = [(member.frames, member.archive_bytes) for member in stream.list_members(io.BytesIO(data))]
    except ArzipError as error:
        listed = one_line(error)
    try:
        events = list(stream.read_events(io.BytesIO(data)))
        read: list[object] | str = [(e.frames, e.archive_bytes) for e in events if isinstance(e, stream.Member)]
        for event in events:
            if isinstance(event, stream.Header):
                assert event.pack() == Header.parse(event.pack())[0].pack()
    except ArzipError as error:
        read = one_line(error)
    assert read == listed, (read, listed)
    reader, step = pieces.MemberReader(), 1 + len(data) % 37
    with suppress(ArzipError):
        for at in range(0, len(data), step):
            reader.feed(data[at : at + step])
            while (event := reader.next_event()) is not None:
                if isinstance(event, stream.Member):
                    assert not isinstance(listed, list) or (event.frames, event.archive_bytes) == listed[0]
                    reader = pieces.MemberReader()
                    return


def one_line(error: ArzipError) -> str:
    assert "\n" not in str(error)
    return str(error)


def salvaged(data: bytes) -> None:
    """Whatever is found lies within the data, in order."""
    with suppress(ArzipError):
        salvage.find_end(io.BytesIO(data))
    before = -1
    for offset, record in salvage.salvage_records(data):
        assert offset >= before
        before = offset
        if isinstance(record, stream.Block):
            assert data[offset:].startswith(record.frame.pack())
    for part in parts.find_parts(data):
        assert part.raw_bytes is None or part.raw_bytes >= 0
        if part.block:
            payload = parts.payload_of(data, part.block)
            assert len(payload) <= part.block.frame.coded_bytes


def recompress(data: bytes) -> None:
    """What is opened comes back; recipes that nobody wrote are refused. The first byte says which."""
    kind, data = data[:1], data[1:]
    if kind < b"\x80":
        block = opened.open_block(data, max_opened_bytes(len(data)), lambda picture: picture.channels)
        if block is not None:
            form = block.head(False, True, False, 1 if block.apart else 0)
            values = [picture.values for picture in block.apart]
            assert opened.close_block(form, block.deviations, block.joined, len(data), values) == data
        return
    try:
        raw_bytes = int.from_bytes(data[:3], "little") % MAX_RAW_BYTES + 1
        form, at = OpenedHead.parse(data[3:], raw_bytes)
        at += 3
        end = at + form.deviation_bytes
        deviations, joined = data[at:end], data[end : end + form.recipe_bytes + form.contents_bytes]
        shapes = opened.apart_of(form, deviations, joined, raw_bytes)
        if sum(size for size, _, _ in shapes) > MAX_RAW_BYTES:
            return
        raw = opened.close_block(form, deviations, joined, raw_bytes, [bytes(size) for size, _, _ in shapes])
        assert len(raw) == raw_bytes
    except ValueError:
        return


def model(data: bytes) -> None:
    """A file is a model, or is refused in one line, by all who read it."""
    try:
        said = head.read_head(io.BytesIO(head.unpack(data)).read)
        assert all(isinstance(text, str) for text in said.about.values())
    except ValueError:
        said = None
    try:
        weights = file.parse_weights(data, "fuzzed")
        assert said is not None and said.about == weights.metadata
    except ModelError as error:
        one_line(error)


TARGETS: dict[str, Callable[[bytes], None]] = {
    "container": container,
    "salvage": salvaged,
    "recompress": recompress,
    "model": model,
}


def seeds() -> dict[str, list[bytes]]:
    """Small inputs of each target, made with the checks switched off."""
    import gzip
    import json

    from arzip.format.stream import Writer

    def archive(*raws: bytes, digest: bytes = b"", coded: bool = False) -> bytes:
        sink = io.BytesIO()
        writer = Writer(sink, digest)
        for raw in raws:
            if coded:
                writer.write_coded(raw, raw[:-1], Method.MIXED, 3, 0)
            else:
                writer.write_stored(raw)
        writer.finish()
        return sink.getvalue()

    archives = [
        archive(),
        archive(b"hello"),
        archive(b"hello, ", b"world", b"!" * 20, digest=b"abcd"),
        archive(b"words " * 5, b"more", digest=b"abcd", coded=True) + archive(b"x", digest=b"efgh") + archive(),
    ]
    text = b"the same words, the same words, and others " * 4
    rows = b"".join(b"\1" + bytes(range(i, i + 12)) for i in range(8))
    chunks = ((b"IHDR", struct.pack(">2I5B", 12, 8, 8, 0, 0, 0, 0)), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    png = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(b)) + kind + b + struct.pack(">I", zlib.crc32(kind + b)) for kind, b in chunks
    )
    packed = [gzip.compress(text, level, mtime=0) for level in (1, 6, 9)] + [zlib.compress(text, 6) + b"tail", png]
    recipes = []
    for raw in packed:
        block = opened.open_block(raw, 1 << 20)
        if block:
            lead = block.head(False, True, False).pack() + block.deviations + block.joined
            recipes.append(b"\x80" + (len(raw) - 1).to_bytes(3, "little") + lead)
    about = {"arzip": json.dumps({"network": {"d": 64, "orders": [2]}, "about": {"name": "x"}})}
    entry = {"dtype": "I8", "shape": [2, 3], "data_offsets": [0, 6]}
    said = json.dumps({"__metadata__": about, "w": entry}).encode()
    models = [len(said).to_bytes(8, "little") + said + bytes(6)]
    models.append(gzip.compress(models[0], mtime=0))
    return {
        "container": archives,
        "salvage": [*archives, *(data[3:] for data in archives), *(data[:-3] for data in archives)],
        "recompress": [b"\0" + raw for raw in packed] + recipes,
        "model": models,
    }
