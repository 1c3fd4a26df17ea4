"""python -m scripts.build_kernels [-o FOLDER] [--targets NAMES]: compile the kernels that the wheel brings.

Prints the names of the files in the folder; what is there of the same sources isn't made again. Each target is compiled
by processes of its own, one for each core, and linked by the C compiler. What is compiled are the kernels that Python
calls, for the types that the codec calls them with.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from arzip.jit import ready
from arzip.jit.sources import source_stamp


def empty(*shape: int, dtype: Any = np.int64) -> np.ndarray[Any, Any]:
    """An array that stands for any of its type."""
    return np.zeros(shape, dtype)


def read_only(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The array, not to be written."""
    array.flags.writeable = False
    return array


def model_calls() -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """Kernels of network, context mixing and coder, with arguments of the types that blocks call them with."""
    from arzip.coding import lane_state, lockstep, prefill, range_coder, records, wide_lockstep
    from arzip.context_mixing import predictor, static_shapes
    from arzip.context_mixing.profile import PROFILES
    from arzip.context_mixing.state import create
    from arzip.network import forward_cpu

    network, text = forward_cpu.empty_network(), empty(64, dtype=np.uint8)
    state = forward_cpu.init_state(network, 2)
    states = [create(profile, empty(1), 64) for profile in PROFILES]
    counts = dict.fromkeys([None, *map(static_shapes.counts_of, states)])
    block = lane_state.new_lane_state(text, 2, (True, True), None)
    many = lane_state.new_wide_state(text, 2, (True, True), None)
    chunk = prefill.Chunk(0, 1, prefill.NO_PREFILL, empty(1), 1, True)
    for count in counts:
        for single_lane in (lockstep.SINGLE_LANE, lockstep.MULTI_LANE):
            yield lockstep.run_coder, (network, state, states[0], block, chunk, single_lane, count)
        yield wide_lockstep.run_coder, (network, state, states[0], many, chunk, count)
    yield lockstep.run_network, (network, state, block, chunk)
    yield wide_lockstep.run_network, (network, state, many, chunk)
    yield prefill.run_network, (network, state, block, chunk)
    yield prefill.run_network, (network, state, many, chunk)
    yield forward_cpu.step, (network, state, read_only(empty(1, dtype=np.uint8)), 0, 1)
    predicted, changes = empty(1, 1, 8, dtype=np.int32), records.new_changes(states[0], 1)
    yield records.predict_records, (network, state, text, empty(2), text, predicted)
    for count in counts:
        yield records.code_record, (network, state, states[0], block, predicted, 0, changes, count)
    for dtype in (np.uint8, np.int64, np.uint32):
        yield records.restore, (empty(1, dtype=dtype), empty(1, dtype=dtype), empty(1, 1), 1)
    yield prefill.tile_lanes, (1,)
    yield predictor.begin, (states[0], 0, 1)
    yield range_coder.carry, (empty(1, dtype=np.uint32), 1)


def media_calls() -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """Kernels of pictures, sound and arrays."""
    from arzip.media import array_bits, array_model, picture, picture_bits, sound, sound_bits

    registers, stream = empty(4, dtype=np.uint64), empty(1, dtype=np.uint32)
    pixels, order, kind = empty(4, 3, dtype=np.uint16), empty(3), picture.Set(3)
    state, bits = picture.create(2, kind), picture_bits.create(kind)
    yield picture_bits.code, (pixels, 0, 1, order, state, bits, registers, stream, True, empty(0))
    heard, coded = sound.create(2, 16), sound_bits.create()
    items, parts = array_model.create((23, 0, 0, 0, 1, 32), 1), empty(1, 3)
    numbers = array_bits.create(32, True, 0)
    yield array_bits.code, (empty(4), 0, 1, parts, -1, items, numbers, 0, registers, stream, True, empty(0))
    samples = empty(4, 2, dtype=np.int32)
    yield sound_bits.code, (samples, 0, 1, sound.LONGEST, heard, coded, 16, registers, stream, True, empty(0))


def preprocess_calls() -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """Kernels of what is done to bytes before and after the model."""
    from arzip.preprocess import bcj, long_range
    from arzip.preprocess.recompress import coding, inflate, replay, starts
    from arzip.preprocess.recompress import rows as png_rows

    text, rows, found = empty(8, dtype=np.uint8), empty(0, 3, dtype=np.int32), empty(8)
    given = read_only(empty(64, dtype=np.uint8))
    yield bcj.convert_arm64, (text, 0, False, rows)
    yield bcj.convert_x86, (text, 0, 1, False, rows)
    yield long_range.search, (given, empty(1, dtype=np.int32), empty(1, 3), 512)
    table = empty(1, 2, dtype=np.uint8)
    yield png_rows.take_off, (table, 1, table, text, text)
    yield png_rows.put_on, (table, 1, text, True, table)
    yield inflate.read_blocks, (given, 0, 1, 1)
    yield starts.find, (given, 0, 1, found)
    coder = coding.measurer()
    tokens, headers = empty(1, dtype=np.int32), empty(1, dtype=np.int16)
    yield replay.replay, (text, tokens, empty(1, 1), headers, text, empty(1, 1), found, coder, False, 1, 1)


def calls() -> list[tuple[Any, tuple[Any, ...]]]:
    """All kernels that Python calls, with arguments of each combination of types."""
    return [*model_calls(), *media_calls(), *preprocess_calls()]


def compile_share(target: ready.Target, share: int, shares: int, folder: Path) -> None:
    """Compile every `shares`-th kernel for a target: object files, and a part of the index. In a process of its own."""
    from numba import typeof

    from arzip.jit import aot

    aot.build_for(target)
    index: dict[str, dict[str, Any]] = {}
    for kernel, args in calls()[share::shares]:
        signature = ready.signature_of(args)
        symbol = "arzip_" + hashlib.blake2b(f"{kernel.name}{signature}".encode(), digest_size=8).hexdigest()
        compiled = aot.compile_kernel(kernel, [typeof(value) for value in args], target, symbol)
        (folder / f"{symbol}.o").write_bytes(compiled.code)
        index.setdefault(kernel.name, {})[signature] = {"symbol": symbol, "result": compiled.result}
        print(f"{target.name}: {kernel.name}, {len(compiled.code)} bytes", file=sys.stderr, flush=True)
    (folder / f"{share}.json").write_text(json.dumps(index))


def build(target: ready.Target, output: Path, shares: int, compiler: str) -> None:
    """Write a target's shared library and index into a folder."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environment = {**os.environ, "ARZIP_KERNEL_TARGET": ",".join(sorted(target.features)), "ARZIP_KERNELS": "numba"}

        def run(share: int) -> None:
            words = [target.name, str(share), str(shares), str(folder)]
            subprocess.run(
                [sys.executable, "-m", "scripts.build_kernels", "--share", *words], check=True, env=environment
            )

        with ThreadPoolExecutor(shares) as pool:
            list(pool.map(run, range(shares)))
        index: dict[str, dict[str, Any]] = {}
        for part in range(shares):
            for kernel, found in json.loads((folder / f"{part}.json").read_text()).items():
                index.setdefault(kernel, {}).update(found)
        objects = sorted(map(str, folder.glob("*.o")))
        library = output / f"{target.name}.so"
        subprocess.run([compiler, "-shared", "-Wl,--gc-sections,-s", "-o", str(library), *objects, "-lm"], check=True)
    text = json.dumps({"stamp": source_stamp(), "kernels": index}, indent=1, sort_keys=True)
    (output / f"{target.name}.json").write_text(text + "\n")


def wanted(names: str) -> list[ready.Target]:
    """The targets that "native", "all" or names with commas between mean. Raises SystemExit for others."""
    if names == "native":
        return [target for target in ready.TARGETS if ready.fits(target)][:1] or sys.exit("no target is like this CPU")
    by_name = {target.name: target for target in ready.TARGETS}
    try:
        return [by_name[name] for name in (by_name if names == "all" else names.split(","))]
    except KeyError as error:
        sys.exit(f"{error.args[0]} is none of the targets: native, all, {', '.join(by_name)}")


def is_current(folder: Path, target: ready.Target) -> bool:
    """Whether a target's kernels in a folder were made from the sources at hand."""
    try:
        index = json.loads((folder / f"{target.name}.json").read_text("utf-8"))
        return bool(index["stamp"] == source_stamp()) and (folder / f"{target.name}.so").is_file()
    except (OSError, ValueError, KeyError):
        return False


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser()
    parser.add_argument("-o", "--output", type=Path, default=ready.FOLDER)
    parser.add_argument("--targets", default="native")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--share", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.share:
        name, share, shares, folder = options.share
        compile_share(wanted(name)[0], int(share), int(shares), Path(folder))
        return
    compiler = shutil.which(os.environ.get("CC", "cc")) or sys.exit("a C compiler is needed to link the kernels")
    options.output.mkdir(parents=True, exist_ok=True)
    for target in wanted(options.targets):
        if not is_current(options.output, target):
            build(target, options.output, options.jobs, compiler)
        print(f"{target.name}.so", f"{target.name}.json")


if __name__ == "__main__":
    main()
