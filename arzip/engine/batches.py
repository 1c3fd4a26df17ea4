"""Several wide blocks at once: by a device's coder where it can and works, by the CPU's threads where not."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from arzip.engine.cuda_blocks import CudaBlocks, supports
from arzip.engine.cuda_driver import DriverError
from arzip.engine.plan import Plan

In = TypeVar("In")
Out = TypeVar("Out")


def run(
    items: Sequence[In],
    sizes: Sequence[int],
    plan: Plan,
    coder: CudaBlocks | None,
    on_device: Callable[[list[In], int, CudaBlocks], list[Out]],
    on_cpu: Callable[[In], Out],
    threads: int,
) -> list[Out]:
    """The result of each item, in order. sizes: of their blocks, in bytes; a device takes those of one size at once."""
    results: dict[int, Out] = {}
    if coder is not None and supports(plan):
        same: dict[int, list[int]] = defaultdict(list)
        for number, size in enumerate(sizes):
            same[size].append(number)
        for size, numbers in same.items():
            try:
                found = on_device([items[number] for number in numbers], size, coder)
            except DriverError as error:
                warnings.warn(f"the GPU failed, the CPU goes on: {error}", stacklevel=3)
                break
            results.update(zip(numbers, found, strict=True))
    left = [number for number in range(len(items)) if number not in results]
    with ThreadPoolExecutor(threads) as pool:
        results.update(zip(left, pool.map(lambda number: on_cpu(items[number]), left), strict=True))
    return [results[number] for number in range(len(items))]
