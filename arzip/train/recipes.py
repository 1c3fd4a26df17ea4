"""What a training run is made of besides its data: rates, batch, budget; and its schedule. Must not import torch."""

from __future__ import annotations

import math
from dataclasses import dataclass

ADAGRAD_START = 1e-7  # a row seen a few times must stay near zero: it hurts on other kinds of text
SMALLEST_FACTOR = 0.02  # of the warm-up
# Rates found for batches of 16 x 256, and how far larger batches' may grow: a factor of 4 was tried in short runs only,
# and a long run of many steps wants lower ones (docs/LOG.md).
REFERENCE_POSITIONS = 16 * 256
REFERENCE_LR, REFERENCE_MUON_LR, REFERENCE_NGRAM_LR = 3e-3, 0.03, 0.1
LARGEST_GROWTH, LARGEST_NGRAM_GROWTH = 3.0, 4.0


@dataclass(frozen=True)
class Recipe:
    """Travels in the weights file's metadata.

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
        """The learning rates' factor when this share of the budget is spent: linear warm-up, then a cosine down."""
        done = min(done, 1.0)
        if done < self.warmup_share:
            return max(done / self.warmup_share, SMALLEST_FACTOR)
        cosine = 0.5 + 0.5 * math.cos(math.pi * (done - self.warmup_share) / (1 - self.warmup_share))
        return self.final_lr_share + (1 - self.final_lr_share) * cosine


def scaled(batch: int, length: int, *, minutes: float = 0.0, budget_bytes: int = 0, seed: int = 0) -> Recipe:
    """The recipe for a batch of so many rows and bytes: rates grow with the square root of its positions, to a limit.

    The gradient of an n-gram row that a batch touches once shrinks as the batch grows: so does Adagrad's start.
    """
    share = batch * length / REFERENCE_POSITIONS
    growth = min(math.sqrt(share), LARGEST_GROWTH)
    return Recipe(
        minutes,
        batch,
        length,
        lr=REFERENCE_LR * growth,
        muon_lr=REFERENCE_MUON_LR * growth,
        ngram_lr=REFERENCE_NGRAM_LR * min(math.sqrt(share), LARGEST_NGRAM_GROWTH),
        seed=seed,
        budget_bytes=budget_bytes,
        warmup_share=0.02,
        ngram_start=ADAGRAD_START / share**2,
        stagger=True,
    )
