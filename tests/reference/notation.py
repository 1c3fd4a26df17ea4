"""Formulas as docs/FORMAT.md writes them, evaluated: products without a sign, x:y, mod, ^ for powers, >> and &."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from reference.decoder.numbers import STRETCH, WRAP, hash_pair, squash

Value = int | Callable[..., int]
TOKEN = re.compile(r"\s*(0x[0-9A-Fa-f]+|\d+|[A-Za-z_][A-Za-z_0-9]*|>>|[-+*/&:^(),])")
FUNCTIONS: dict[str, Value] = {
    "min": min,
    "max": max,
    "floor": lambda x: x,  # quotients are rounded down where they stand
    "bitlen": lambda x: x.bit_length(),
    "hash_pair": lambda a, b: hash_pair(a & WRAP, b & WRAP),
    "squash": squash,
    "stretch": lambda p: STRETCH[p],
}


def tokens_of(text: str) -> list[str]:
    found, at = [], 0
    while at < len(text.rstrip()):
        match = TOKEN.match(text, at)
        assert match, f"no formula: {text[at:]!r}"
        found.append(match[1])
        at = match.end()
    return found


class Formula:
    """A recursive descent over tokens, from the loosest operator to the tightest."""

    def __init__(self, text: str, names: Mapping[str, Value]) -> None:
        self.tokens, self.at, self.names = tokens_of(text), 0, {**FUNCTIONS, **names}

    def next(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self, *expected: str) -> bool:
        if self.next() in expected:
            self.at += 1
            return True
        return False

    def whole(self) -> int:
        value = self.joined()
        assert self.at == len(self.tokens), f"left over: {self.tokens[self.at :]}"
        return value

    def joined(self) -> int:
        value = self.masked()
        while self.take(":"):
            value = 256 * value + self.masked()
        return value

    def masked(self) -> int:
        value = self.shifted()
        while self.take("&"):
            value &= self.shifted()
        return value

    def shifted(self) -> int:
        value = self.sum()
        while self.take(">>"):
            value >>= self.sum()
        return value

    def sum(self) -> int:
        value = -self.product() if self.take("-") else self.product()
        while self.next() in ("+", "-"):
            sign = 1 if self.next() == "+" else -1
            self.at += 1
            value += sign * self.product()
        return value

    def product(self) -> int:
        value = self.power()
        while self.next() and self.next() not in ("+", "-", "&", ">>", ":", ",", ")"):
            if self.take("/"):
                value //= self.power()
            elif self.take("mod"):
                value %= self.power()
            else:
                self.take("*")
                value *= self.power()
        return value

    def power(self) -> int:
        value = self.atom()
        return value ** self.atom() if self.take("^") else value

    def atom(self) -> int:
        token = self.next()
        self.at += 1
        if token == "(":
            value = self.joined()
            assert self.take(")")
            return value
        if token[0].isdigit():
            return int(token, 0)
        named = self.names[token]
        if not callable(named):
            return named
        assert self.take("("), f"{token} without arguments"
        arguments = [self.joined()]
        while self.take(","):
            arguments.append(self.joined())
        assert self.take(")")
        return int(named(*arguments))


def evaluate(text: str, names: Mapping[str, Value]) -> int:
    """The value of a formula. names: of its variables and of functions that only it uses."""
    return Formula(text, names).whole()
