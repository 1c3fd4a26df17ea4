"""An archive that arrives in pieces: the events of `arzip.format.stream` as soon as their bytes are there.

Standard library only.
"""

from __future__ import annotations

import io

from arzip.errors import TruncatedError
from arzip.format.stream import Event, Parser, Window


class _PushedWindow(Window):
    """A window on data that arrives in pieces; reading what isn't there yet raises TruncatedError."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO())
        self.data = bytearray()
        self.at = self.needed = 0

    def peek(self, size: int) -> bytes:
        return bytes(self.data[self.at : self.at + size])

    def read(self, size: int) -> bytes:
        if len(self.data) - self.at < size:
            self.needed = self.at + size
            raise TruncatedError("more is to come")
        self.at += size
        self.offset += size
        return bytes(self.data[self.at - size : self.at])


class MemberReader:
    """Reads one member that arrives in pieces of any size. Holds what of a record has come, a block's payload at most,
    and what else it was given.
    """

    def __init__(self) -> None:
        self._window = _PushedWindow()
        self._parser = Parser(self._window, skip_payloads=False)

    def feed(self, data: bytes) -> None:
        """Adds what comes next."""
        self._window.data += data

    def next_event(self) -> Event | None:
        """The next event; None: it isn't all there yet. Not to be called after a Member. Raises ArzipErrors."""
        window, offset = self._window, self._window.offset
        if len(window.data) < window.needed or (not window.data and not offset):
            return None
        try:
            event = self._parser.next_event()
        except TruncatedError:
            window.needed = max(window.needed, len(window.data) + 1)
            window.at, window.offset = 0, offset
            return None
        del window.data[: window.at]
        window.at = window.needed = 0
        return event

    @property
    def rest(self) -> bytes:
        """What was fed and isn't read: after a Member, what follows it."""
        return bytes(self._window.data)
