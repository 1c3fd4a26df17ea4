"""Fixed point of every P(bit = 1) between models and range coder: an integer k stands for k / 2**22."""

from __future__ import annotations

P_BITS = 22
P_ONE = 1 << P_BITS  # certainty; a probability that is coded is 1 .. P_ONE - 1
