"""What a block is coded with: lanes, and which models. Chosen by the encoder, named in the frame."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """What a block is coded with. lanes: 1 or more; profile: place in PROFILES, None for no memory."""

    lanes: int
    network: bool
    profile: int | None

    @property
    def parts(self) -> tuple[bool, bool]:
        """Whether network and memory take part."""
        return self.network, self.profile is not None
