"""What a cluster costs and what it survives, measured on this machine: needs arzip[ray].

    python benchmarks/cluster.py overhead FILE...      # local runs beside runs of a cluster of two workers
    python benchmarks/cluster.py kill FILE...          # of 3 nodes one, compressing and decompressing; then the driver
    python benchmarks/cluster.py tree FILE...          # 2,000 small files and 3 large ones, some of which can't be read

The data are the files one after the other, cut to --bytes. --repeats replaces 0.48 of each part of 640 KiB by copies of
bytes before it, which are coded fast: for runs whose time isn't measured. Prints a line of JSON a measurement.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

SETTINGS = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_enable_metrics_collection": "0", "RAY_worker_niceness": "0"}
PART, COPIED, COPY = 640 << 10, 0.48, 16 << 10
SMALL_BLOCKS = ("-b", str(PART))
STORE = 150 << 20
ARZIP = [sys.executable, "-m", "arzip"]


def data(paths: list[Path], size: int, repeats: bool) -> bytes:
    """The bytes to work on."""
    raw = b"".join(path.read_bytes() for path in paths)
    raw = (raw * (size // len(raw) + 1))[:size]
    if not repeats:
        return raw
    source, parts = random.Random(0), []
    for at in range(0, size, PART):
        fresh = raw[at : at + int(PART * (1 - COPIED))]
        starts = [source.randrange(len(fresh) - COPY) for _ in range((PART - len(fresh)) // COPY + 1)]
        parts.append((fresh + b"".join(fresh[start : start + COPY] for start in starts))[:PART])
    return b"".join(parts)[:size]


def descendants(root: int) -> dict[int, float]:
    """Processes that a process has started, and those that they have, and it: their CPU seconds."""
    parents, spent = {}, {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        number = int(path.parent.name)
        parents[number], spent[number] = int(fields[1]), (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def belongs(number: int) -> bool:
        while number and number != root:
            number = parents.get(number, 0)
        return number == root

    return {number: seconds for number, seconds in spent.items() if belongs(number)}


def timed(*arguments: str | Path, **settings: Any) -> dict[str, Any]:
    """Run arzip; seconds, CPU seconds with its children, and the largest memory of its own process in MB."""
    start = time.monotonic()
    process = subprocess.Popen([*ARZIP, *map(str, arguments)], env=os.environ | SETTINGS, **settings)
    peak, spent = 0, dict[int, float]()
    while process.poll() is None:
        spent |= descendants(process.pid)
        try:
            status = Path(f"/proc/{process.pid}/status").read_text()
            peak = max(peak, *(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")))
        except (OSError, TypeError):
            pass
        time.sleep(0.2)
    assert process.returncode == 0, process.returncode
    cpu = round(sum(spent.values()), 1)
    return {"seconds": round(time.monotonic() - start, 1), "cpu_seconds": cpu, "peak_mb": peak // 1024}


def overhead(folder: Path, raw: Path, level: str, rounds: int) -> None:
    """Local runs and runs of a cluster, each of two workers, in turn; medians of their seconds."""
    ways = {"local": [], "cluster": ["--cluster", "local"]}
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, words in ways.items():
            found = timed("compress", level, "-T2", "-f", *words, raw, "-o", folder / f"{way}.arz")
            seconds[way].append(found["seconds"])
            print(json.dumps({"what": way, **found}), flush=True)
        assert (folder / "local.arz").read_bytes() == (folder / "cluster.arz").read_bytes()
    local, cluster = (statistics.median(seconds[way]) for way in ways)
    share = round(cluster / local - 1, 3)
    print(json.dumps({"what": "medians", "local": local, "cluster": cluster, "overhead": share}), flush=True)


class Nodes:
    """A cluster of three nodes with a worker each, and a head without."""

    def __init__(self) -> None:
        os.environ.update(SETTINGS)
        from ray.cluster_utils import Cluster

        head = {"num_cpus": 0, "object_store_memory": STORE, "include_dashboard": False}
        self.cluster = Cluster(initialize_head=True, head_node_args=head)
        self.nodes = [self._add() for _ in range(3)]

    def _add(self) -> Any:
        """A node; once more if it isn't up within Ray's 30 seconds, on a busy machine."""
        try:
            return self.cluster.add_node(num_cpus=1, object_store_memory=STORE)
        except Exception:
            return self.cluster.add_node(num_cpus=1, object_store_memory=STORE)

    def kill_one(self) -> None:
        """End all processes of a node at once."""
        self.cluster.remove_node(self.nodes.pop(), allow_graceful=False)

    def __enter__(self) -> Nodes:
        return self

    def __exit__(self, *fault: object) -> None:
        self.cluster.shutdown()


def when_done(journal: Path, blocks: int, act: Callable[[], Any]) -> threading.Thread:
    """A thread that acts once so many blocks are in a journal."""

    def watch() -> None:
        while len(list(journal.glob("block-*"))) < blocks:
            time.sleep(0.1)
        act()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


def kill(folder: Path, raw: Path, level: str) -> None:
    """A node, then the driver."""
    node(folder, raw, level)
    driver(folder, raw, level)


def node(folder: Path, raw: Path, level: str) -> None:
    """Kill a node when half of the blocks are done."""
    local = timed("compress", level, *SMALL_BLOCKS, raw, "-o", folder / "local.arz")
    print(json.dumps({"what": "local", **local}), flush=True)
    blocks = -(-raw.stat().st_size // PART)
    for verb, source, target, like in (
        ("compress", raw, folder / "cluster.arz", folder / "local.arz"),
        ("decompress", folder / "local.arz", folder / "back", raw),
    ):
        with Nodes() as nodes:
            killer = when_done(Path(f"{target}.arzip-journal"), blocks // 2, nodes.kill_one)
            with open(folder / "messages", "w+") as messages:
                how = [
                    verb,
                    *([level, *SMALL_BLOCKS] if verb == "compress" else []),
                    "--cluster",
                    nodes.cluster.address,
                ]
                found = timed(*how, source, "-o", target, stderr=messages)
                messages.seek(0)
                retried = [line for line in messages.read().splitlines() if "is done again" in line]
            killer.join()
            same = target.read_bytes() == like.read_bytes()
        print(json.dumps({"what": verb, **found, "same": same, "retried": retried}), flush=True)


def driver(folder: Path, raw: Path, level: str) -> None:
    """Kill the driver when half of the blocks are done, and go on. After `node`."""
    blocks, target = -(-raw.stat().st_size // PART), folder / "again.arz"
    journal = Path(f"{target}.arzip-journal")
    with Nodes() as nodes:
        how = ["compress", level, *SMALL_BLOCKS, "-v", "--cluster", nodes.cluster.address, str(raw), "-o", str(target)]
        first = subprocess.Popen([*ARZIP, *how], env=os.environ | SETTINGS)
        when_done(journal, blocks // 2, lambda: first.send_signal(signal.SIGKILL)).join()
        first.wait()
        kept = len(list(journal.glob("block-*")))
        with open(folder / "messages", "w+") as messages:
            found = timed(*how, "--resume", stderr=messages)
            messages.seek(0)
            said = [line for line in messages.read().splitlines() if "of an earlier run" in line]
    same = target.read_bytes() == (folder / "local.arz").read_bytes()
    print(
        json.dumps({"what": "resume", **found, "same": same, "blocks": blocks, "kept": kept, "said": said}), flush=True
    )


def tree(folder: Path, raw: Path, level: str) -> None:
    """2,000 small files and 3 large ones; one vanishes, one archive of them is damaged."""
    data, source = raw.read_bytes(), random.Random(0)
    for number in range(2000):
        path = folder / "tree" / f"d{number % 20:02}" / f"f{number:04}"
        path.parent.mkdir(parents=True, exist_ok=True)
        start = source.randrange(len(data) - 2000)
        path.write_bytes(data[start : start + source.randrange(2000)])
    for number in range(3):
        (folder / "tree" / f"large{number}").write_bytes(data[number << 18 :][: 5 << 20])
    start = time.monotonic()
    gone = folder / "tree" / "d07" / "f1007"
    command = [*ARZIP, "compress", level, "-r", "--cluster", "local", str(folder / "tree"), "-o", str(folder / "arz")]
    process = subprocess.Popen(command, env=os.environ | SETTINGS, stderr=subprocess.PIPE, text=True)
    journal = folder / "arz.arzip-journal"
    while not journal.exists():  # the files have been listed
        time.sleep(0.01)
    gone.unlink()
    _, messages = process.communicate()
    seconds = round(time.monotonic() - start, 1)
    archives = list((folder / "arz").rglob("*.arz"))
    print(json.dumps({"what": "tree", "code": process.returncode, "archives": len(archives), "seconds": seconds}))
    print(json.dumps({"messages": messages.splitlines()}), flush=True)
    archives[0].write_bytes(archives[0].read_bytes()[:-1])
    back = [*ARZIP, "-d", "-r", "--cluster", "local", str(folder / "arz"), "-o", str(folder / "back")]
    done = subprocess.run(back, env=os.environ | SETTINGS, stderr=subprocess.PIPE, text=True)
    restored = [path for path in (folder / "back").rglob("*") if path.is_file()]
    same = all(
        path.read_bytes() == (folder / "tree" / path.relative_to(folder / "back")).read_bytes() for path in restored
    )
    row = {"what": "tree back", "code": done.returncode, "files": len(restored), "same": same}
    print(json.dumps(row | {"messages": done.stderr.splitlines()}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["overhead", "kill", "tree"])
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--bytes", type=int, default=64_000_000)
    parser.add_argument("--level", default="-1")
    parser.add_argument("--repeats", action="store_true")
    parser.add_argument("--rounds", type=int, default=3, help="of overhead")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        raw = Path(name) / "raw"
        raw.write_bytes(data(given.files, given.bytes, given.repeats))
        work = {"overhead": partial(overhead, rounds=given.rounds), "kill": kill, "tree": tree}
        work[given.what](Path(name), raw, given.level)


if __name__ == "__main__":
    main()
