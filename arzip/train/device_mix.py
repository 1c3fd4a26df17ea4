"""Batches for a training step, at fixed addresses: `prepare` works on the host, `draw` on the device.

Both mixes give the same windows for the same seed. Must not import model code.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from arzip.train.data import Source, Windows

SLOTS = 32  # batches whose copies to the device may be pending; above trainer.WAIT_STEPS


class HostMix:
    """Text stays in the sources (memory-mapped files): every batch is copied to the device."""

    def __init__(
        self, sources: list[Source], batch: int, length: int, seed: int, device: str, stagger: bool = False
    ) -> None:
        self.windows = Windows(sources, batch, length, seed, stagger=stagger)
        self.text = torch.zeros(length, batch, dtype=torch.uint8, device=device)
        self.fresh = torch.zeros(batch, dtype=torch.bool, device=device)

    def prepare(self) -> None:
        """Draw the next batch and copy it to the device."""
        text, fresh = self.windows.next()
        self.text.copy_(torch.from_numpy(text).T)
        self.fresh.copy_(torch.from_numpy(fresh))

    def draw(self) -> tuple[Tensor, Tensor]:
        """The batch prepared last: text (T, B) uint8, and which rows are fresh (B,) bool."""
        return self.text, self.fresh


class DeviceMix:
    """All text lies on the device, one source after another: a step copies only the starts of its windows."""

    def __init__(
        self, sources: list[Source], batch: int, length: int, seed: int, device: str, stagger: bool = False
    ) -> None:
        self.windows = Windows(sources, batch, length, seed, stagger=stagger)
        sizes = [source.data.size for source in sources]
        self.base = dict(zip(map(id, sources), np.cumsum([0, *sizes[:-1]]).tolist(), strict=True))
        self.all_text = torch.empty(sum(sizes), dtype=torch.uint8, device=device)
        for source in sources:
            first = self.base[id(source)]
            self.all_text[first : first + source.data.size] = torch.from_numpy(np.array(source.data))
        self.clock = torch.arange(length, device=device)[:, None]
        # Two rows each: starts, and whether fresh. Pinned, so that copies are asynchronous. Reused after SLOTS steps.
        self.slots = torch.zeros(SLOTS, 2, batch, dtype=torch.int64, pin_memory=self.all_text.is_cuda)
        self.plan = torch.zeros(2, batch, dtype=torch.int64, device=device)
        self.drawn = 0

    def prepare(self) -> None:
        """Draw the next batch's windows and copy their starts to the device."""
        found, fresh = self.windows.next_starts()
        slot = self.slots[self.drawn % SLOTS]
        starts = np.array([self.base[id(source)] + start for source, start in found])
        slot.copy_(torch.from_numpy(np.stack([starts, fresh.astype(np.int64)])))
        self.plan.copy_(slot, non_blocking=True)
        self.drawn += 1

    def draw(self) -> tuple[Tensor, Tensor]:
        """As HostMix.draw."""
        return self.all_text[self.plan[0] + self.clock], self.plan[1] > 0
