"""Arithmetic modulo 2**64 in int64 tensors: products and sums wrap, shifts to the right are masked."""

from __future__ import annotations

from torch import Tensor

from arzip.context_mixing import hashing


def signed(value: int) -> int:
    """The int64 of the same bits as a uint64."""
    return value - (1 << 64) if value >> 63 else value


GOLDEN, SPREAD = signed(hashing.GOLDEN), signed(hashing.SPREAD)


def shift_right(h: Tensor, bits: int) -> Tensor:
    """h >> bits of unsigned numbers; bits is 1 or more."""
    return h >> bits & (1 << (64 - bits)) - 1


def hash_pair(a: Tensor, b: Tensor | int) -> Tensor:
    """See `hashing.hash_pair`."""
    h = (a + GOLDEN) * SPREAD
    h = (h ^ shift_right(h, 29) ^ b) * GOLDEN
    return h ^ shift_right(h, 32)
