"""Hyper-parameters of a training run: learning rates, batch, budget, schedule. Must not import torch."""

from __future__ import annotations

import math
from dataclasses import dataclass

ADAGRAD_START = 1e-7  # Adagrad's initial sum; a row seen a few times must stay near zero, else it hurts other text
MIN_FACTOR = 0.02  # of the warm-up
# Learning rates found for batches of 16 x 256, and the limits of their growth for larger batches: a factor of 4 was
# tried in short runs only, and long runs want lower rates (docs/LOG.md).
REFERENCE_POSITIONS = 16 * 256
REFERENCE_LR, REFERENCE_MUON_LR, REFERENCE_NGRAM_LR = 3e-3, 0.03, 0.1
MAX_GROWTH, MAX_NGRAM_GROWTH = 3.0, 4.0


@dataclass(frozen=True)
class Recipe:
    """Hyper-parameters; the weights file's metadata holds them under the same names.

    minutes, budget_bytes: the schedule is laid over the bytes if there are any given, else over the time of the steps.
    batch, length: rows and bytes of a batch's windows. lr: AdamW's, muon_lr: of the blocks' matrices (0: AdamW for them
    too), ngram_lr: Adagrad's; ngram_start: what its sums of squared gradients start with. stagger: see data.Windows.
    """

    minutes: float
    batch: int = 32
    length: int = 256
    lr: float = 3e-3
    muon_lr: float = 0.0
    ngram_lr: float = 0.03
    weight_decay: float = 0.01
    final_lr_share: float = 0.02
    seed: int = 0
    budget_bytes: int = 0
    warmup_share: float = 0.01
    ngram_start: float = ADAGRAD_START
    stagger: bool = False

    def factor(self, done: float) -> float:
        """Factor of all learning rates when the share `done` of the budget is spent: linear warm-up, cosine decay."""
        done = min(done, 1.0)
        if done < self.warmup_share:
            return max(done / self.warmup_share, MIN_FACTOR)
        cosine = 0.5 + 0.5 * math.cos(math.pi * (done - self.warmup_share) / (1 - self.warmup_share))
        return self.final_lr_share + (1 - self.final_lr_share) * cosine


def scaled(batch: int, length: int, *, minutes: float = 0.0, budget_bytes: int = 0, seed: int = 0) -> Recipe:
    """The recipe for a batch of so many rows and bytes: learning rates grow with the square root of its size, limited.

    The gradient of an n-gram row that a batch touches once shrinks as the batch grows, so Adagrad's start does too.
    """
    share = batch * length / REFERENCE_POSITIONS
    growth = min(math.sqrt(share), MAX_GROWTH)
    return Recipe(
        minutes,
        batch,
        length,
        lr=REFERENCE_LR * growth,
        muon_lr=REFERENCE_MUON_LR * growth,
        ngram_lr=REFERENCE_NGRAM_LR * min(math.sqrt(share), MAX_NGRAM_GROWTH),
        seed=seed,
        budget_bytes=budget_bytes,
        warmup_share=0.02,
        ngram_start=ADAGRAD_START / share**2,
        stagger=True,
    )
