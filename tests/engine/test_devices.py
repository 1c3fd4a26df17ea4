"""Threads that bring wide blocks, and devices that code them in batches: who waits for whom, and what failures do."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from arzip.coding.lane_state import new_wide_state
from arzip.engine.cuda_driver import DriverError, NoDriverError
from arzip.engine.cuda_network import NetworkFailedError
from arzip.engine.devices import DeviceFailedError, Devices
from arzip.engine.plan import Plan
from arzip.errors import UnsupportedError

ALONE, WITH_NETWORK = Plan(2, False, 0, True), Plan(2, True, 0, True)
SECONDS = 60  # after which a test that hangs has failed


class StubCoder:
    """Notes the sizes of the blocks of each batch. fault: what a batch raises; reports: whether on_bytes is called."""

    def __init__(self, name: str, fault: Exception | None = None, reports: bool = True) -> None:
        self.name, self.fault, self.reports, self.without_network = name, fault, reports, ""
        self.batches: list[list[int]] = []

    def enter(self) -> None:
        if isinstance(self.fault, NoDriverError):
            raise DriverError("no context")

    def supports(self, plan: Plan) -> bool:
        return not (plan.use_network and self.without_network)

    def code(self, works: list[Any], plan: Plan, model: object) -> None:
        self.batches.append(sorted(work.block.text.size for work in works))
        for work in works:
            if self.reports:
                work.on_bytes(work.block.text.size)
        if self.fault is not None:
            if isinstance(self.fault, NetworkFailedError):
                self.without_network = "broken"
            raise self.fault


def code_all(devices: Devices, plans: list[tuple[int, Plan]], on_bytes: Callable[[int], None]) -> list[Future[None]]:
    """A thread for each block (size, plan), all waiting at once."""
    ready = threading.Barrier(len(plans))

    def work(size: int, plan: Plan) -> None:
        with devices.bringing_blocks():
            ready.wait(SECONDS)
            devices.code(new_wide_state(np.ones(size, np.uint8), 2, plan.components, None), plan, MODEL, on_bytes)

    pool = ThreadPoolExecutor(len(plans))
    found = [pool.submit(work, *each) for each in plans]
    pool.shutdown(wait=False)
    return found


MODEL: Any = object()


def opened(*coders: StubCoder, at_once: int = 8) -> Devices:
    devices = Devices("auto", lambda: list(coders))  # type: ignore[arg-type]
    assert devices.open(at_once) == 2 * at_once * len(coders)
    return devices


def test_blocks_of_a_class_that_wait_are_one_batch_and_others_another() -> None:
    coder, seen = StubCoder("A"), []
    with opened(coder) as devices:
        done = code_all(devices, [(60, ALONE), (61, ALONE), (62, ALONE), (500, ALONE), (60, WITH_NETWORK)], seen.append)
        assert [each.result(SECONDS) for each in done] == [None] * 5
    assert coder.batches[0] == [60, 61, 62] and sorted(coder.batches[1:]) == [[60], [500]]
    assert (sum(seen), devices.blocks, devices.faults, devices.name) == (743, 5, [], "A")


def test_batch_is_no_larger_than_asked_for() -> None:
    coder = StubCoder("A")
    with opened(coder, at_once=2) as devices:
        for each in code_all(devices, [(60, ALONE)] * 5, lambda _: None):
            each.result(SECONDS)
    assert sorted(map(len, coder.batches)) == [1, 2, 2]


def test_failed_device_is_given_up_and_its_bytes_do_not_count() -> None:
    coder, seen = StubCoder("A", DriverError("broken")), []
    with opened(coder) as devices:
        for each in code_all(devices, [(60, ALONE)] * 3, seen.append):
            with pytest.raises(DeviceFailedError, match="broken"):
                each.result(SECONDS)
        assert not devices.supports(ALONE)
        with pytest.raises(DeviceFailedError, match="no GPU is left"):
            devices.code(new_wide_state(np.ones(9, np.uint8), 2, (False, True), None), ALONE, MODEL, seen.append)
    assert (sum(seen), devices.blocks) == (0, 0)
    assert devices.faults == ["A failed, the CPU goes on: broken"]


def test_device_that_cannot_be_entered_leaves_its_blocks_to_the_other() -> None:
    bad, good = StubCoder("A", NoDriverError("")), StubCoder("B")
    with opened(bad, good) as devices:
        for each in code_all(devices, [(60, ALONE)] * 4, lambda _: None):
            each.result(SECONDS)
    assert not bad.batches and sum(map(len, good.batches)) == devices.blocks == 4
    assert devices.faults == ["A failed, the CPU goes on: no context"]


def test_network_that_fails_is_given_up_alone() -> None:
    coder = StubCoder("A", NetworkFailedError("no compiler"))
    with opened(coder) as devices:
        for each in code_all(devices, [(60, WITH_NETWORK), (500, WITH_NETWORK)], lambda _: None):
            with pytest.raises(DeviceFailedError, match="no compiler"):
                each.result(SECONDS)
        assert devices.supports(ALONE) and not devices.supports(WITH_NETWORK)
        coder.fault = None
        [again] = code_all(devices, [(60, ALONE)], lambda _: None)
        again.result(SECONDS)
    assert len(devices.faults) == 1


def test_error_of_a_callback_reaches_the_thread_that_brought_the_block() -> None:
    def stop(size: int) -> None:
        if size > 0:
            raise KeyError("stopped")

    with opened(StubCoder("A")) as devices:
        for each in code_all(devices, [(60, ALONE)] * 2, stop):
            with pytest.raises(KeyError, match="stopped"):
                each.result(SECONDS)
        assert devices.supports(ALONE) and not devices.faults


def test_leaving_the_context_frees_who_waits() -> None:
    coder = StubCoder("A")
    with opened(coder) as devices, ThreadPoolExecutor(1) as pool:
        block = new_wide_state(np.ones(60, np.uint8), 2, (False, True), None)
        with devices.bringing_blocks(), devices.bringing_blocks():  # another thread might bring one
            waiting = pool.submit(devices.code, block, ALONE, MODEL, lambda _: None)
            with pytest.raises(TimeoutError):
                waiting.result(0.3)
            devices.__exit__(None, None, None)
            with pytest.raises(DeviceFailedError, match="the run has ended"):
                waiting.result(SECONDS)
    assert not coder.batches


def test_words_for_what_there_is() -> None:
    def none() -> list[Any]:
        raise NoDriverError("no driver")

    with pytest.raises(UnsupportedError, match="no device is called 'tpu': auto, cpu, cuda"):
        Devices("tpu")
    devices = Devices("cpu", lambda: [StubCoder("A")])  # type: ignore[list-item]
    assert devices.open(5) == 0 and devices.name == "the CPU" and not devices.supports(ALONE)
    devices = Devices("auto", none)
    assert devices.open(5) == 0 and devices.name == "the CPU: no driver"
    with pytest.raises(UnsupportedError, match="no driver; use --device cpu: archives are the same"):
        Devices("cuda", none).open(5)
    coder = StubCoder("A")
    coder.without_network = "no torch"
    with Devices("auto", lambda: [coder]) as devices:  # type: ignore[list-item]
        devices.open(1)
        assert devices.name == "A (no torch)"
