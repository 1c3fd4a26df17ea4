"""`python -m scripts.slot.pack MIX -o slot`: all that a slot needs beside the checkout, in one folder of some 60 MB.

mix/KIND/NAME.bin.xz, .idx.xz   documents of a source (or .bz2, where that is smaller)
mix/shares.json                 how much of each is drawn: the shares of the whole mix
start/NAME.safetensors.xz       networks to go on from, without what primes the memory
cases/NAME.npz.xz               what the network's exact step must give, for each shipped model
wide/PROFILE.npz.xz             what the kernels of wide blocks must leave, each profile, with and without network
wide-network.npz.xz             the network of those with one
pack.json                       sizes, and the SHA-256 of every file once it is unpacked
"""

from __future__ import annotations

import bz2
import json
import lzma
import shutil
import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import product
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from arzip.context_mixing.profile import PROFILES
from arzip.train.data import SHARES, Source, load_mix
from arzip.train.export import network_only
from arzip.weights import registry as models
from arzip.weights.file import load_weights
from scripts.slot import cases, subset, wide_cases
from scripts.slot.plan import PLAN, ROOT, TOY, Plan

MANIFEST = "pack.json"
DICTIONARY_BYTES = 1 << 26  # at most; the unpacker needs as much memory
SLACK = 0.03  # the pack may be smaller than asked by this share of it
TRIES = 4
TRAVEL_BYTES = 64 << 20  # what a rented machine may take
INDEX_BYTES = 20_000  # shares, sizes and digests
FIRST_GUESS = 0.2  # packed bytes a byte, before anything was packed
HARDER = 0.985  # what `xz` makes of what the quick preset leaves

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Packed:
    """A source as it travels: how many bytes were asked of it, its size unpacked, and its packed files by name."""

    asked_bytes: int
    raw_bytes: int
    files: dict[str, bytes]
    digests: dict[str, str]

    @property
    def packed_bytes(self) -> int:
        return sum(map(len, self.files.values()))


def xz(data: bytes) -> bytes:
    """As small as xz makes it. pb 0 and lc 4 gain half a per cent on text and on code of machines alike."""
    size = min(max(1 << (len(data) - 1).bit_length(), 1 << 16), DICTIONARY_BYTES) if data else 1 << 16
    best = {"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": size, "lc": 4, "lp": 0, "pb": 0}
    return lzma.compress(data, lzma.FORMAT_XZ, lzma.CHECK_CRC32, filters=[best])


def smallest(name: str, data: bytes) -> tuple[str, bytes]:
    """The file's name with its suffix, and its content, by the better of two packers of Python's library."""
    return min(((f"{name}.xz", xz(data)), (f"{name}.bz2", bz2.compress(data, 9))), key=lambda pair: len(pair[1]))


def quick_cost(path: Path, asked_bytes: int) -> float:
    """Packed bytes a byte of so much of a source, estimated in a fifth of the time."""
    [source] = load_mix([path])
    return HARDER * len(lzma.compress(subset.take(source, asked_bytes).data, preset=6)) / asked_bytes


def pack_source(folder: Path, path: Path, asked_bytes: int) -> Packed:
    """So much of the source at `path`, a file below `folder`."""
    [source] = load_mix([path])
    part = subset.take(source, asked_bytes)
    name = path.relative_to(folder).with_suffix("").as_posix()
    raw = {f"{name}.bin": part.data, f"{name}.idx": part.starts.astype("<u8").tobytes()}
    files = dict(smallest(*item) for item in raw.items())
    return Packed(asked_bytes, len(part.data), files, {n: sha256(data).hexdigest() for n, data in raw.items()})


def allocate(sizes: Numbers, shares: Numbers, costs: Numbers, packed_bytes: float) -> NDArray[np.int64]:
    """How many bytes of each source to take: in proportion to its share, so that all are seen equally often, or all.

    costs: packed bytes a byte that is asked for. What packs badly is no dearer for that: there is more to learn of it.
    """
    low, high = 0.0, float(np.max(sizes / shares))
    for _ in range(60):
        middle = (low + high) / 2
        fits = float((np.minimum(sizes, middle * shares) * costs).sum()) < packed_bytes
        low, high = (middle, high) if fits else (low, middle)
    return np.minimum(sizes, np.ceil(high * shares)).astype(np.int64)


def pack_mix(
    folder: Path, sources: list[tuple[Path, Source]], packed_bytes: int, say: Callable[[str], None]
) -> list[Packed]:
    """Every source's part, `packed_bytes` in all, or up to SLACK less. Packs again as costs become known."""
    shares = np.array([source.share for _, source in sources])
    sizes = np.array([float(source.data.size) for _, source in sources])
    asked = allocate(sizes, shares, np.full(len(sources), FIRST_GUESS), packed_bytes)
    done: list[Packed | None] = [None] * len(sources)
    with ProcessPoolExecutor() as pool:
        costs = np.array(list(pool.map(quick_cost, [path for path, _ in sources], asked.tolist())))
        for _ in range(TRIES):
            asked = allocate(sizes, shares, costs, (1 - SLACK / 2) * packed_bytes)
            todo = [k for k, packed in enumerate(done) if packed is None or _differs(packed.asked_bytes, int(asked[k]))]
            todo.sort(key=lambda k: -int(asked[k]))  # the longest first, so that no core waits at the end
            paths, wanted = [sources[k][0] for k in todo], [int(asked[k]) for k in todo]
            for k, packed in zip(todo, pool.map(pack_source, [folder] * len(todo), paths, wanted), strict=True):
                done[k], costs[k] = packed, packed.packed_bytes / packed.asked_bytes
            found = [packed for packed in done if packed]
            total = sum(packed.packed_bytes for packed in found)
            say(f"{sum(packed.raw_bytes for packed in found):,} bytes of text in {total:,}")
            if (1 - SLACK) * packed_bytes < total <= packed_bytes or (total <= packed_bytes and (asked == sizes).all()):
                break
    if total > packed_bytes:
        raise click.ClickException(f"the mix doesn't settle at {packed_bytes:,} packed bytes: try a little less")
    return found


def _differs(asked: int, wanted: int) -> bool:
    return abs(asked - wanted) > 0.01 * wanted


def kinds_text(sources: list[tuple[Path, Source]]) -> bytes:
    """A little of every source, for the exactness cases."""
    return b"".join(source.data[: 1 << 12].tobytes() for _, source in sources)


def start_file(path: Path) -> bytes:
    """A model's network as a weights file, without the memory's tensors; its metadata has the model's digest."""
    weights = load_weights(path, with_initial_states=False)
    return network_only(replace(weights, metadata=weights.metadata | {"digest": weights.digest.hex()}))


def extras(plan: Plan, found: Sequence[Path], text: bytes) -> dict[str, bytes]:
    """Networks to start from and exactness cases, by name, unpacked."""
    wanted = {core.start for core in plan.cores}
    files: dict[str, bytes] = {}
    for path in found:
        name = models.name_of(path)
        if name in wanted:
            files[f"start/{name}.safetensors"] = start_file(path)
        case = cases.make(path, np.frombuffer(text, np.uint8), plan.case_lanes, plan.case_steps)
        files[f"cases/{name}.npz"] = cases.dump(case)
    files |= wide_files(plan, found[-1], text)
    missing = wanted - {Path(name).stem for name in files} - {""}
    if missing:
        raise click.ClickException(f"no model to start from is called {', '.join(sorted(missing))}")
    return files


def wide_files(plan: Plan, path: Path, text: bytes) -> dict[str, bytes]:
    """The cases of wide blocks, by name: each profile with the network and without; and in a level's lanes.

    The numbers are those of the profiles: FAST, FULL, MIDDLE, LARGE.
    """
    files = {}
    texts = [text[at : at + plan.wide_bytes] for at in (0, plan.wide_bytes)]
    for profile, network in product(range(len(PROFILES)), (False, True)):
        case = wide_cases.make(path, profile, texts, plan.wide_lanes, network)
        files[f"wide/{profile}{'-network' * network}.npz"] = cases.dump(case)
    for profile, network in ((0, False), (1, False), (1, True)):
        case = wide_cases.make(path, profile, texts[:1], plan.wide_full_lanes, network)
        files[f"wide/full-{profile}{'-network' * network}.npz"] = cases.dump(case)
    letters = wide_cases.lanes_of(texts, plan.wide_lanes), wide_cases.lanes_of(texts[:1], plan.wide_full_lanes)
    weights = load_weights(path, with_initial_states=False)
    return files | {"wide-network.npz": cases.dump(cases.pack_network(weights, *letters))}


def write(output: Path, files: dict[str, bytes]) -> None:
    """Files by their names below a folder."""
    for name, data in files.items():
        (output / name).parent.mkdir(parents=True, exist_ok=True)
        (output / name).write_bytes(data)


def mix_sources(folder: Path, more: tuple[str, ...]) -> list[tuple[Path, Source]]:
    """Each source of a mix beside its file."""
    by_place = {(p.stem, p.parent.name if p.parent != folder else ""): p for p in folder.rglob("*.bin")}
    return [(by_place[source.name, source.kind], source) for source in load_mix([folder], more)]


def check_output(output: Path) -> None:
    """Raises click.ClickException if the folder holds anything but an older pack, which is replaced."""
    if output.exists() and not (output / MANIFEST).exists() and any(output.iterdir()):
        raise click.ClickException(f"{output}: not empty, and not a pack: name another folder")


def write_pack(output: Path, parts: list[Packed], sources: list[tuple[Path, Source]], others: dict[str, bytes]) -> None:
    """others: packed files beside the mix, by name. The manifest comes last: without it there is no pack."""
    shutil.rmtree(output, ignore_errors=True)
    write(output, others)
    digests, shares = (
        {name.removesuffix(".xz"): sha256(lzma.decompress(data)).hexdigest() for name, data in others.items()},
        {},
    )
    for (_, source), part in zip(sources, parts, strict=True):
        write(output / "mix", part.files)
        digests |= {f"mix/{name}": digest for name, digest in part.digests.items()}
        shares[next(iter(part.digests)).removesuffix(".bin")] = round(source.share, 8)
    write(output, {f"mix/{SHARES}": json.dumps(shares, indent=1).encode()})
    write(output, {MANIFEST: json.dumps({"files": digests}, indent=1).encode()})


def checkout_bytes() -> int:
    """Size of the files that git tracks or would, without the models, which needn't travel; 0 if git can't say."""
    words = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", ".", ":!models"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True)
    names = [name for name in done.stdout.decode().split("\0") if name]
    return sum((ROOT / name).stat().st_size for name in names if (ROOT / name).is_file())


def describe(output: Path, parts: list[Packed], sources: list[tuple[Path, Source]]) -> list[str]:
    """Sizes by kind, and of the pack."""
    lines = []
    for kind in sorted({source.kind for _, source in sources}):
        own = [(part, source) for part, (_, source) in zip(parts, sources, strict=True) if source.kind == kind]
        raw, packed = (sum(getattr(part, side) for part, _ in own) for side in ("raw_bytes", "packed_bytes"))
        share = sum(source.share for _, source in own)
        lines.append(f"{kind:10} {raw:>12,} bytes, {packed:>11,} packed, share {share:.3f}")
    travels = sum(path.stat().st_size for path in output.rglob("*") if path.is_file())
    lines.append(f"{output}: {travels:,} bytes; the text is {sum(part.raw_bytes for part in parts):,} bytes")
    return [*lines, f"with the checkout, without its models: {travels + checkout_bytes():,} of {TRAVEL_BYTES:,} bytes"]


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.argument("mix", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("-o", "--output", default=Path("slot"), type=click.Path(file_okay=False, path_type=Path), help="Folder.")
@click.option("--models", "folder", default=Path("models"), type=click.Path(exists=True, path_type=Path))
@click.option("--mb", type=float, help="Size of the pack, in 10**6 bytes; else the plan's.")
@click.option("--toy", is_flag=True, help="The plan of a rehearsal.")
def main(mix: Path, output: Path, folder: Path, mb: float | None, toy: bool) -> None:
    """Pack the best of a training mix (KIND/NAME.bin, .idx) with what starts the networks and what checks them."""
    plan = TOY if toy else PLAN
    check_output(output)
    sources = mix_sources(mix, plan.more)
    found = sorted([*folder.glob("*" + models.SUFFIX), *folder.glob("*" + models.PACKED)])
    others = {f"{name}.xz": xz(data) for name, data in extras(plan, found, kinds_text(sources)).items()}
    left = int(mb * 1e6 if mb else plan.pack_bytes) - sum(map(len, others.values())) - INDEX_BYTES
    if left <= 0:
        raise click.ClickException(f"networks and cases alone take {-left:,} bytes more than the pack may have")
    parts = pack_mix(mix, sources, left, click.echo)
    write_pack(output, parts, sources, others)
    for line in describe(output, parts, sources):
        click.echo(line)


if __name__ == "__main__":
    main()
