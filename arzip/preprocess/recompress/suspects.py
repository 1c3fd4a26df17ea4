"""Which packers a stream may come from, by what its tokens and blocks rule out."""

from __future__ import annotations

import numpy as np

from arzip.preprocess.recompress.inflate import FIRST_TOKEN, TYPE, Inflated
from arzip.preprocess.recompress.matcher import DEFAULT, FILTERED, HUFFMAN, RUNS
from arzip.preprocess.recompress.packer import EXCEL, GREEDY_LEVELS, LOOKAHEAD, ONLY_FIXED, Packer
from arzip.preprocess.recompress.tables import DYNAMIC, FIXED, LENGTH_BITS, LENGTH_MASK, STORED

FOUR, WHOLE = 1, 2  # bits of a family
MEMORY = 8


class Suspects:
    """The packers to compare for one stream."""

    def __init__(self, inflated: Inflated, window: int) -> None:
        tokens, blocks, self._window = inflated.tokens, inflated.blocks, window
        matches = tokens[tokens > 1]
        distances, lengths = matches >> LENGTH_BITS, matches & LENGTH_MASK
        self._has_matches = matches.size > 0
        self._only_runs = bool((distances == 1).all())
        self._has_short = bool((lengths <= 5).any())
        self._far = bool((distances > (1 << window) - LOOKAHEAD).any())
        types = blocks[:-1, TYPE]
        self._only_stored = bool((types == STORED).all())
        self._no_dynamic = not bool((types == DYNAMIC).any()) and bool((types == FIXED).any())
        counts = np.diff(blocks[:, FIRST_TOKEN])
        self._largest = int(counts.max(initial=0))
        self._first = int(counts[0]) if len(counts) > 1 else 0

    def allow(self, packer: Packer) -> bool:
        """Whether nothing speaks against a packer."""
        if (
            packer.window != self._window
            or (packer.level == 0) != self._only_stored
            or (self._far and packer.family & WHOLE == 0)
        ):
            return False
        limit = 32767 if packer.rule else (1 << packer.memory + 6) - 1
        if self._largest > limit and packer.level:
            return False
        if packer.strategy == FILTERED and packer.level not in GREEDY_LEVELS:
            return not self._has_short
        return packer.strategy != HUFFMAN or not self._has_matches

    def levels(self) -> list[Packer]:
        """`zlib` with the stream's window."""
        return [packer._replace(window=self._window) for packer in self._zlib()]

    def _zlib(self) -> list[Packer]:
        """zlib at all levels and Excel, with the memory that the blocks point to; other strategies where they fit."""
        if self._only_stored:
            return [Packer(level=0)]
        memory, rule = self._memory()
        strategy = ONLY_FIXED if self._no_dynamic and self._largest > 500 else DEFAULT
        if not self._has_matches:
            return [Packer(6, memory, strategy=HUFFMAN, rule=rule), Packer(6, memory, strategy=strategy, rule=rule)]
        packers = [Packer(level, memory, strategy=strategy, rule=rule) for level in (6, 9, 5, 8, 7, 4, 1, 3, 2, EXCEL)]
        if not self._has_short:
            packers += [packer._replace(strategy=FILTERED) for packer in packers if packer.level not in GREEDY_LEVELS]
        if self._only_runs:
            packers.append(Packer(6, memory, strategy=RUNS, rule=rule))
        return packers

    def _memory(self) -> tuple[int, int]:
        """memory and rule by the size of the first block, and of the largest."""
        for memory in range(1, 9):
            if self._first == (1 << memory + 6) - 1:
                return memory, 0
        if self._first and self._first & 0xFFF == 0:
            return MEMORY, 1
        return (MEMORY, 0) if self._largest < 1 << MEMORY + 6 else (9, int(self._first == 32767))

    def variants(self, packer: Packer) -> list[Packer]:
        """The packer with other memory, rule and strategy."""
        packers = [packer._replace(memory=memory) for memory in (9, 8, 7, 6, 5, 4, 3, 2, 1)]
        packers = [packer._replace(memory=MEMORY, rule=1), packer._replace(rule=0, memory=9), *packers]
        packers += [packer._replace(strategy=ONLY_FIXED)] if self._no_dynamic else []
        return [other for other in packers if self.allow(other)]

    def foreign_streams(self) -> list[Packer]:
        """What comes nearest to packers that aren't zlib."""
        memory = 9
        families = (WHOLE, FOUR | WHOLE) if self._far else (FOUR, WHOLE, FOUR | WHOLE)
        return [Packer(level, memory, self._window, family=family) for family in families for level in range(9, 0, -1)]
