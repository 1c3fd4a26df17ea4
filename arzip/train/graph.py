"""A training step as a CUDA graph: one launch instead of hundreds, with today's step as the fallback."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

WARMUP_STEPS = 3  # what is allocated once, and compiled, must be before the capture


class GraphedStep:
    """Calls `work`, whose tensors stay where they are; after some calls its operations are recorded and replayed."""

    def __init__(self, work: Callable[[], Tensor], report: Callable[[str], None]) -> None:
        self.work, self.report = work, report
        self.graph: torch.cuda.CUDAGraph | None = None
        self.output: Tensor | None = None
        self.calls, self.is_plain = 0, False

    def __call__(self) -> Tensor:
        """One step; its loss, which the next one overwrites."""
        self.calls += 1
        if self.is_plain:
            return self.work()
        try:
            if self.graph is None and self.calls > WARMUP_STEPS:
                self.capture()
        except (AssertionError, RuntimeError) as error:
            self.is_plain, self.graph = True, None
            self.report(f"no CUDA graph, steps are launched one by one: {str(error).splitlines()[0]}")
            return self.work()
        if self.graph is None:
            return self.on_side_stream()
        self.graph.replay()
        assert self.output is not None
        return self.output

    def on_side_stream(self) -> Tensor:
        """A step as the capture will see it: what autograd keeps for a parameter belongs to a stream."""
        if not torch.cuda.is_available():
            return self.work()
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            loss = self.work()
        torch.cuda.current_stream().wait_stream(side)
        return loss

    def capture(self) -> None:
        """Record a step; nothing is computed."""
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self.output = self.work()
        self.graph = graph
