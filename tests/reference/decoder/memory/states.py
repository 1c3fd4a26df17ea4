"""docs/FORMAT.md, 'States': the history of a bit in a context, as a number."""

from __future__ import annotations

from dataclasses import dataclass

from ..numbers import ONE, bitlen

LIMITS = (41, 24, 10, 7, 6, 5)  # of a count, by the other one
CLASS_COUNTS = (0, 1, 2, 3, 6, 11, 20, 41)  # what a class of prior counts stands for
PRIOR = 182  # the state of classes A, B is PRIOR + 8 A + B
STATES = 246


@dataclass(frozen=True)
class State:
    """(s, a, b, l): string of bits, zeros, ones, last bit."""

    s: str
    a: int
    b: int
    l: int  # noqa: E741 (the name in the spec)

    @property
    def order(self) -> tuple[int, str, int, int, int]:
        return self.a + self.b, self.s, self.a, self.b, self.l

    def after(self, y: int) -> State:
        if len(self.s) == self.a + self.b < 4:
            return State(self.s + str(y), self.a + 1 - y, self.b + y, -1)
        a, b = count(self.a, self.b, y)
        return State("", a, b, y)


def count(a: int, b: int, y: int) -> tuple[int, int]:
    """The new counts of zeros and ones after a bit y."""
    e, o = (b, a) if y else (a, b)
    o = o if o <= 2 else min(bitlen(o), 5)
    e = min(e + 1, LIMITS[o])
    return (o, e) if y else (e, o)


def reachable() -> list[State]:
    """The states 0 to 182."""
    found, new = set(), [State("", 0, 0, -1)]
    while new:
        state = new.pop()
        if state not in found:
            found.add(state)
            new += [state.after(0), state.after(1)]
    return sorted(found, key=lambda state: state.order)


KNOWN = reachable()


def thinned(c: int, r: int) -> tuple[int, int]:
    """c', r': counts, the larger first, that states below 183 have."""
    for smaller in range(min(r, 5), 0, -1):
        larger = (2 * c * smaller + r) // (2 * r)
        if larger <= LIMITS[smaller] and larger + smaller <= 24:
            return larger, smaller
    smaller = min(r, 1)
    return min(c, LIMITS[smaller], 24 - smaller), smaller


def after_prior(a: int, b: int, y: int) -> int:
    """The number of the state after a bit y, from prior counts a, b of zeros and ones."""
    if a > b:
        a, b = thinned(a, b)
    else:
        b, a = thinned(b, a)
    a, b = count(a, b, y)
    return min((abs(s.a - a) + abs(s.b - b), int(s.l != y), number) for number, s in enumerate(KNOWN))[2]


def next_states() -> list[tuple[int, int]]:
    """next(state, 0), next(state, 1) of the states 0 to 245."""
    numbers = {state: number for number, state in enumerate(KNOWN)}
    table = [(numbers[state.after(0)], numbers[state.after(1)]) for state in KNOWN]
    for classes in range(1, 64):
        counts = CLASS_COUNTS[classes >> 3], CLASS_COUNTS[classes & 7]
        table.append((after_prior(*counts, 0), after_prior(*counts, 1)))
    return table


NEXT = next_states()


def start_probability(number: int) -> int:
    """'Starting state': p of a state's entry in the map of a context."""
    if number < len(KNOWN):
        a, b = KNOWN[number].a, KNOWN[number].b
    else:
        a, b = CLASS_COUNTS[number - PRIOR >> 3], CLASS_COUNTS[number - PRIOR & 7]
    return (2 * b + 1) * ONE // (2 * (a + b) + 2)
