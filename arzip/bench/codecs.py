"""The codecs and their levels, and parsing of a user's choice among them. Runs none of them."""

from __future__ import annotations

import importlib.util
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from arzip.bench import external
from arzip.bench.external import Codec
from arzip.errors import ArzipError
from arzip.weights.registry import name_of


@dataclass(frozen=True)
class Family:
    """A codec at all its levels. missing: how to install it, "" if it is installed."""

    name: str
    levels: tuple[str, ...]
    defaults: tuple[str, ...]
    at: Callable[[str], Codec]
    missing: str = ""


def _numbers(first: int, last: int) -> tuple[str, ...]:
    return tuple(str(n) for n in range(first, last + 1))


_CALLED = {  # name: (module, levels, defaults)
    "gzip": ("gzip", _numbers(1, 9), ("9",)),
    "bzip2": ("bz2", _numbers(1, 9), ("9",)),
    "xz": ("lzma", (*_numbers(0, 9), *(f"{n}e" for n in range(10))), ("9e",)),
    "zstd": ("zstandard", _numbers(1, 22), ("3", "22")),
    "brotli": ("brotli", _numbers(0, 11), ("11",)),
    "lz4": ("lz4", _numbers(0, 12), ("0",)),
    "ppmd": ("pyppmd", tuple(f"{variant}{n}" for variant in "ho" for n in range(2, 65)), ("h16",)),
    "kanzi": ("kanzi", _numbers(0, 9), ("9",)),
}


def families(*, models: Sequence[str] = (), device: str = "cpu", threads: int = 0) -> list[Family]:
    """Every codec, installed or not: arzip (once for each of `models`, if there are any), then the others."""
    ours = [(f"arzip({name_of(Path(model))})", model) for model in models] or [("arzip", "")]
    found = [Family(name, _numbers(1, 9), ("6",), _ours(name, model, device, threads)) for name, model in ours]
    for name, (module, levels, defaults) in _CALLED.items():
        missing = "" if importlib.util.find_spec(module) else "pip install 'arzip[bench]'"
        found.append(Family(name, levels, defaults, partial(_called, name), missing))
    missing = "" if shutil.which("zpaq") else "install the command zpaq"
    found.append(Family("zpaq", _numbers(0, 5), ("5",), partial(external.zpaq, threads=threads), missing))
    return found


def _ours(name: str, model: str, device: str, threads: int) -> Callable[[str], Codec]:
    return lambda level: external.arzip(name, level, model, device, threads)


def _called(name: str, level: str) -> Codec:
    return Codec(name, level, "in-process")


def choose(known: Sequence[Family], names: str = "", levels: str = "") -> list[Codec]:
    """The codecs that `--codecs` and `--levels` name; "" means every installed codec at its default levels.

    names: "gzip,xz:6+9e,arzip:1-9", or "none". levels: "1,9": those of them that a codec has. Raises ArzipError.
    """
    if not names:
        here = [family for family in known if not family.missing]
        chosen = [(family, _split(family, levels)) for family in here]
        codecs = [family.at(level) for family, picked in chosen for level in picked]
        if not codecs:
            raise ArzipError(f"no codec has level {levels}")
        return codecs
    codecs = []
    for word in names.split(",") if names != "none" else []:
        name, _, own = word.strip().partition(":")
        for family in _named(known, name):
            picked = _split(family, own or levels)
            if not picked:
                raise ArzipError(f"{name} has no level {own or levels}; it has {', '.join(family.levels)}")
            codecs += [family.at(level) for level in picked]
    return codecs


def _named(known: Sequence[Family], name: str) -> list[Family]:
    """The families of this name; "arzip" names one for each model."""
    found = [family for family in known if name in (family.name, family.name.partition("(")[0])]
    if not found:
        names = ", ".join(family.name for family in known)
        raise ArzipError(f"no codec is called {name!r}; there are {names}; any other by --command")
    for family in found:
        if family.missing:
            raise ArzipError(f"{name} is not here: {family.missing}")
    return found


def _split(family: Family, words: str) -> list[str]:
    """The levels of the family that "1+6" or "1,6", "1-9", "all" or "" (its defaults) name."""
    if not words:
        return list(family.defaults)
    if words == "all":
        return list(family.levels)
    picked: list[str] = []
    for word in re.split("[+,]", words):
        bounds = re.fullmatch(r"(\d+)-(\d+)", word)
        wanted = _numbers(int(bounds[1]), int(bounds[2])) if bounds else (word, f"o{word}")
        picked += [level for level in wanted if level in family.levels]
    return list(dict.fromkeys(picked))
