"""A whole stream there, back, or for its bits alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import BinaryIO

from arzip.codec.decoder import Decoder, check_output, decode_events
from arzip.codec.encoder import Encoder
from arzip.codec.engines import open_devices, start_devices
from arzip.codec.options import Evaluation, Options, Progress, Summary
from arzip.engine.backend import OnCosts
from arzip.engine.devices import Devices
from arzip.format import stream
from arzip.format.stream import Block, Event, Member, Writable
from arzip.system.workers import Workers


def compress(source: BinaryIO, sink: Writable, options: Options, progress: Progress | None = None) -> Summary:
    """Read `source` to its end and write one archive of it. `progress` gets raw and archive bytes so far.

    Raises ModelError when the model that the options name can't be had, UnsupportedError when the device can't.
    """
    return _compress(source, sink, options, progress, None)


def evaluate(source: BinaryIO, options: Options, progress: Progress | None = None) -> Evaluation:
    """Compress `source`, discard the archive, return the sum of -log2 p of its bits. Raises as `compress` does."""
    bits: list[float] = []
    summary = _compress(source, _NullSink(), options, progress, lambda costs: bits.append(float(costs.sum())))
    return Evaluation(summary.raw_bytes, summary.archive_bytes, sum(bits))


def _compress(
    source: BinaryIO, sink: Writable, options: Options, progress: Progress | None, on_costs: OnCosts | None
) -> Summary:
    wide = options.wide and on_costs is None  # costs are the CPU's
    with Workers(options.threads) as workers, open_devices(options, wide, workers) as devices:
        encoder = Encoder(sink, options, workers, progress, on_costs, devices)
        for coded in workers.map(encoder.encode, encoder.pieces(source), encoder.share_of_memory):
            encoder.write(coded)
        return encoder.finish()


def decompress(source: BinaryIO, sink: Writable, options: Options, progress: Progress | None = None) -> Summary:
    """Read archives from `source` to its end and write what they hold.

    Raises the errors of arzip.errors, after all blocks before the fault have been written.
    """
    raw_bytes = archive_bytes = blocks = 0
    with Workers(options.threads) as workers, open_devices(options, False, workers) as devices:
        decoder = Decoder(options, workers, progress, devices)
        events = _within(stream.read_events(source), options.max_output)
        items = _opening(stream.with_fields(events), devices, workers)
        for event, raw in decode_events(items, decoder, workers, stream.Verifier()):
            if isinstance(event, Block):
                sink.write(raw)
                raw_bytes += len(raw)
                blocks += 1
            elif isinstance(event, Member):
                archive_bytes += event.archive_bytes
                decoder.meter.archive_bytes = archive_bytes
    found = {"device": devices.name, "device_blocks": devices.blocks, "faults": tuple(devices.faults)}
    return Summary(raw_bytes, archive_bytes, blocks, **found)  # type: ignore[arg-type]


def _within(events: Iterable[Event], max_output: int) -> Iterator[Event]:
    """The events; raises LimitError before a block with which they hold more raw bytes than that."""
    raw_bytes = 0
    for event in events:
        if isinstance(event, Block):
            raw_bytes += event.frame.raw_bytes
            check_output(raw_bytes, max_output)
        yield event


def _opening(items: Iterable[tuple[Event, bytes]], devices: Devices, workers: Workers) -> Iterator[tuple[Event, bytes]]:
    """The items; opens the devices before the first wide block."""
    for event, fields in items:
        if isinstance(event, Block) and event.frame.wide:
            start_devices(devices, workers)
        yield event, fields


class _NullSink:
    def write(self, data: bytes, /) -> object:
        return len(data)
