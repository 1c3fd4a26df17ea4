"""Progress of a run."""

from __future__ import annotations

import threading

from arzip.codec.options import Progress
from arzip.system.workers import Workers


class ProgressMeter:
    """Progress, added up over the threads; every call also asks whether the work is still wanted."""

    def __init__(self, workers: Workers, report: Progress | None) -> None:
        self._workers = workers
        self._report = report
        self._lock = threading.Lock()
        self._raw_bytes = 0
        self.archive_bytes = 0

    def on_bytes(self, raw_bytes: int) -> None:
        """So many raw bytes more have been coded."""
        self._workers.check()
        if self._report is not None:
            with self._lock:
                self._raw_bytes += raw_bytes
                self._report(self._raw_bytes, self.archive_bytes)
