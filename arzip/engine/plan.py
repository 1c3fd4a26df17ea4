"""Lanes and models of a block: chosen by the encoder, stored in the frame."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """lanes: 1 or more. cm_profile: index in PROFILES of the context mixing's profile, None for no context mixing.

    wide: a stream for each lane, and one lane group.
    """

    lanes: int
    use_network: bool
    cm_profile: int | None
    wide: bool = False

    @property
    def components(self) -> tuple[bool, bool]:
        """Whether network and context mixing take part."""
        return self.use_network, self.cm_profile is not None
