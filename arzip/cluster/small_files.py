"""Small files, each to its archive or back: a worker does a batch of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

from arzip.cluster import locations
from arzip.cluster.jobs import Report, key_of, with_data
from arzip.cluster.journal import Journal
from arzip.cluster.tasks import Batch, Result, Small, Task


class SmallJob:
    """Many small files, a batch of them a task. batches: made when they are needed.

    on_failed: gets name and reason of each file that came to nothing.
    """

    def __init__(
        self,
        batches: Iterator[list[Small]],
        of_archives: bool,
        journal: Journal | None,
        on_failed: Callable[[str, str], None],
    ) -> None:
        self.name = "small files"
        self._batches, self._of_archives, self._journal, self._on_failed = batches, of_archives, journal, on_failed
        self._running = 0
        self._ended = False
        self._report = Report()

    def next_task(self) -> Task | None:
        batch = next(self._batches, None)
        if batch is None:
            self._ended = True
            return None
        if self._journal:
            names = [small.source.name for small in batch]
            self._journal.put(f"begun-{key_of(names[0])}", {"files": names})
        self._running += 1
        sources = [dataclasses.replace(small, source=with_data(small.source)) for small in batch]
        return Batch(tuple(sources), self._of_archives)

    def take(self, task: Task, result: Result) -> None:
        assert isinstance(task, Batch) and isinstance(result, tuple)
        self._running -= 1
        done: dict[str, tuple[int, int, int]] = {}
        for small, each in zip(task.files, result, strict=True):
            if each.fault:
                self._on_failed(each.name, each.fault)
                continue
            if each.data is not None:
                assert small.target is not None
                locations.make_folder_of(small.target)
                with locations.writing(small.target, each.name, small.overwrite) as file:
                    file.write(each.data)
            sizes = done[each.name] = each.raw_bytes, each.archive_bytes, each.blocks
            self._report.add(*sizes)
        if self._journal:
            self._journal.put(f"done-{key_of(task.files[0].source.name)}", {"files": done})

    def is_complete(self) -> bool:
        return self._ended and not self._running

    def finish(self, report: Report) -> None:
        mine = self._report
        report.add(mine.raw_bytes, mine.archive_bytes, mine.blocks, mine.files)

    def abort(self) -> None:
        pass
