"""A training step as a CUDA graph: one launch instead of hundreds. Falls back to launching operations one by one."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

WARMUP_STEPS = 3  # one-time allocation and compilation must be over before the capture


class GraphedStep:
    """Calls `work`, whose tensors must keep their addresses; after WARMUP_STEPS it records and replays a graph.

    report: gets a line if no graph can be recorded.
    """

    def __init__(self, work: Callable[[], Tensor], report: Callable[[str], None]) -> None:
        self.work, self.report = work, report
        self.graph: torch.cuda.CUDAGraph | None = None
        self.output: Tensor | None = None
        self.calls, self.is_eager = 0, False

    def __call__(self) -> Tensor:
        """Make one step; returns its loss, which the next step overwrites."""
        self.calls += 1
        if self.is_eager:
            return self.work()
        try:
            if self.graph is None and self.calls > WARMUP_STEPS:
                self.capture()
        except (AssertionError, RuntimeError) as error:
            self.is_eager, self.graph = True, None
            self.report(f"no CUDA graph, steps are launched one by one: {str(error).splitlines()[0]}")
            return self.work()
        if self.graph is None:
            return self.on_side_stream()
        self.graph.replay()
        assert self.output is not None
        return self.output

    def on_side_stream(self) -> Tensor:
        """Make a step on a side stream, as the capture does: autograd binds a parameter's state to a stream."""
        if not torch.cuda.is_available():
            return self.work()
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            loss = self.work()
        torch.cuda.current_stream().wait_stream(side)
        return loss

    def capture(self) -> None:
        """Record a step without computing it."""
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self.output = self.work()
        self.graph = graph
