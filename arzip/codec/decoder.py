"""Blocks of archives, in any order, and what a stream of them holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from arzip import block_codec, memory
from arzip.codec.engines import Engines
from arzip.codec.options import Options, Progress
from arzip.codec.progress import ProgressMeter
from arzip.engine.devices import Devices
from arzip.errors import DamagedError, LimitError
from arzip.format import stream
from arzip.format.records import split_fields
from arzip.format.stream import Block, Event
from arzip.system.workers import Workers


class Decoder:
    """Decodes blocks, of any archives and in any order, on any thread. Arguments as of `decompress`.

    devices: the GPUs that wide blocks may be decoded by; None for the CPU alone.
    """

    def __init__(
        self, options: Options, workers: Workers, progress: Progress | None = None, devices: Devices | None = None
    ) -> None:
        self._devices = devices or Devices("cpu")
        self._engines = Engines(options, workers, self._devices)
        self.engine_of = self._engines.of
        self._workers, self._memory_bytes = workers, options.memory_bytes
        self.meter = ProgressMeter(workers, progress)

    def decode(self, block: Block, fields: bytes) -> bytes:
        """The raw bytes of a block, not yet checked; but what a GPU made of it is, and if it is wrong, the CPU tries.

        fields: of its archive's header. Raises the errors of arzip.errors.
        """
        self.share_of_memory(block, fields)
        devices, workers = self._devices, self._workers
        with devices.bringing_blocks():
            before, fault = devices.blocks, None
            try:
                raw = block_codec.decode(block, fields, self.engine_of, workers, self.meter.on_bytes)
                if not block.frame.wide or stream.is_sound(block, raw) or devices.blocks == before:
                    return raw
            except DamagedError as error:
                if not block.frame.wide or devices.blocks == before:
                    raise
                fault = error
            raw = block_codec.decode(block, fields, self.engine_of, workers, lambda _: workers.check(), False)
            if stream.is_sound(block, raw):
                devices.faults.append(f"block {block.number} was wrong on {devices.name}, right on the CPU")
            elif fault:
                raise fault
            return raw

    def share_of_memory(self, block: Block, fields: bytes) -> float:
        """How much of the memory that the limit leaves for blocks this one takes. Raises LimitError."""
        if not self._memory_bytes:
            return 0.0
        digest, _ = split_fields(fields)
        model_bytes = self._engines.loading_bytes(digest) if digest else 0
        budget = memory.Budget(self._memory_bytes, memory.PROGRAM_BYTES + model_bytes)
        return budget.share(memory.decoding_bytes(block.frame, block.payload), f"decoding block {block.number}")


def decode_events(
    items: Iterable[tuple[Event, bytes]], decoder: Decoder, workers: Workers | None, verifier: stream.Verifier
) -> Iterator[tuple[Event, bytes]]:
    """Each event, in order, with the checked raw bytes of a Block; blocks are decoded side by side by workers.

    items: events, each with the fields of its archive's header. Raises the errors of arzip.errors, after all events
    before the fault.
    """

    def decode(item: tuple[Event, bytes]) -> tuple[Event, bytes]:
        event, fields = item
        return event, decoder.decode(event, fields) if isinstance(event, Block) else b""

    def share(item: tuple[Event, bytes]) -> float:
        event, fields = item
        return decoder.share_of_memory(event, fields) if isinstance(event, Block) else 0.0

    for event, raw in workers.map(decode, items, share) if workers else map(decode, items):
        verifier.check(event, raw)
        yield event, raw


def check_output(raw_bytes: int, max_output: int) -> None:
    """Raises LimitError if it is more than that; negative: any number may be."""
    if 0 <= max_output < raw_bytes:
        raise LimitError(f"it holds more than the {max_output:,} bytes that --max-output allows")
