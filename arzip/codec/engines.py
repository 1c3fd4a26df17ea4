"""The engines of models, each opened once, and the GPUs of a run."""

from __future__ import annotations

import functools
import threading
from pathlib import Path

from arzip.codec.options import Options
from arzip.engine.devices import Devices
from arzip.engine.engine import Engine, open_engine
from arzip.engine.records import RecordEngine
from arzip.errors import DictionaryMissingError, ModelError
from arzip.format.records import dictionary_digest, split_fields
from arzip.system.workers import Workers, free_bytes
from arzip.weights import registry

BATCH_BLOCKS = 132  # of a GPU at a time: as many as a large one has multiprocessors
WAITING_BYTES = 64 << 20  # of this machine's memory, for a wide block that waits for a GPU


def cached_engine(path: Path, threads: int, dictionary: bytes = b"") -> Engine:
    """`open_engine`, or what it returned before for this file: reading it takes longer than coding a short block.

    dictionary: see Options; what an engine has learnt of it is kept, too.
    """
    try:
        version = registry.file_version(path)
    except OSError:
        version = ()  # opening it raises the error
    engine = _opened_engine(path, min(threads, 2), version)
    return _engine_after(engine, dictionary) if dictionary else engine


@functools.lru_cache(maxsize=4)
def _opened_engine(path: Path, threads: int, version: tuple[int, ...]) -> Engine:
    return open_engine(path, threads)


@functools.lru_cache(maxsize=2)
def _engine_after(engine: Engine, dictionary: bytes) -> RecordEngine:
    return RecordEngine(engine, dictionary)


class Engines:
    """The engines that archives ask for, each opened once, by whichever thread comes first."""

    def __init__(self, options: Options, workers: Workers, devices: Devices) -> None:
        self.workers, self.devices = workers, devices
        self._preferred, self._dictionary = options.model, options.dictionary
        self._lock = threading.Lock()
        self._open: dict[bytes, Engine] = {}

    def of(self, fields: bytes) -> Engine:
        """The engine of the model, and after the dictionary, that an archive's header names.

        Raises ModelMissingError, ModelError, DictionaryMissingError.
        """
        with self._lock:
            if fields not in self._open:
                self._open[fields] = self._find(*split_fields(fields)).on(self.devices)
            return self._open[fields]

    def _find(self, digest: bytes, dictionary: bytes) -> Engine:
        if dictionary and dictionary != dictionary_digest(self._dictionary):
            raise DictionaryMissingError(
                f"the archive needs the dictionary with digest {dictionary.hex()}, the file whose SHA-256 begins so: "
                "name it with -D"
            )
        known = self._dictionary if dictionary else b""
        engine = self._likely(digest, known) or cached_engine(self._path(digest), self.workers.threads, known)
        if engine.digest != digest:
            raise ModelError(f"{self._path(digest)}: the model was changed while it was read; try again")
        return engine

    def _likely(self, digest: bytes, dictionary: bytes) -> Engine | None:
        """The engine, if it is that of a file that a hint names: whose digest is then computed once, not twice."""
        path = None if self._preferred else registry.hinted(digest)
        try:
            engine = cached_engine(path, self.workers.threads, dictionary) if path else None
        except ModelError:
            return None
        return engine if engine and engine.digest == digest else None

    def loading_bytes(self, digest: bytes) -> int:
        """Memory that reading this model takes. Raises ModelMissingError."""
        return registry.loading_bytes(self._path(digest))

    def _path(self, digest: bytes) -> Path:
        return registry.find_digest(digest, registry.find(self._preferred) if self._preferred else None)


def open_devices(options: Options, wide: bool, workers: Workers) -> Devices:
    """The devices of a run, open if blocks will be wide or a GPU is asked for. Raises UnsupportedError."""
    devices = Devices(options.device)
    if wide or options.device == "cuda":
        start_devices(devices, workers)
    return devices


def start_devices(devices: Devices, workers: Workers) -> None:
    """Open the devices, and look so many blocks ahead as their batches need. Raises UnsupportedError."""
    workers.look_ahead(devices.open(min(BATCH_BLOCKS, free_bytes() // (2 * WAITING_BYTES))))
