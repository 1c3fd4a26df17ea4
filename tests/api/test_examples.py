"""The examples in the docstrings of the public names."""

from __future__ import annotations

import doctest
import inspect

import pytest

import arzip
from arzip.api import batch, file, incremental, oneshot, records


@pytest.mark.parametrize("module", [oneshot, incremental, file, records, batch])
def test_examples_run(module: object) -> None:
    results = doctest.testmod(module)  # type: ignore[arg-type]
    assert results.attempted > 0
    assert results.failed == 0


def test_every_public_name_is_documented() -> None:
    for name in arzip.__all__:
        value = getattr(arzip, name)
        assert value.__doc__
        made_by_others = inspect.isclass(value) and issubclass(value, arzip.ArzipError | arzip.Batch)
        if not made_by_others:
            assert ">>>" in value.__doc__, name
        for method, function in inspect.getmembers(value, inspect.isfunction):
            if not method.startswith("_") and function.__module__.startswith("arzip"):
                assert function.__doc__, f"{name}.{method}"
