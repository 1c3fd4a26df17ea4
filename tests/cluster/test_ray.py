"""The same with processes of Ray: a cluster of three nodes on this machine, one of which is killed; a driver, too.

Runs once, with small data, and starts few processes; none are left.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import helpers
import pytest

import arzip
from arzip.codec import Options

pytest.importorskip("fsspec", reason="no fsspec here: pip install 'arzip[ray]'")
ray = pytest.importorskip("ray", reason="no ray here: pip install 'arzip[ray]'")

import arzip.cluster  # noqa: E402
from arzip.cli import main  # noqa: E402
from arzip.cluster.journal import SUFFIX  # noqa: E402
from arzip.cluster.pool import LOCAL_SETTINGS  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # of Ray's own
BLOCK_BYTES = 1 << 17
OPTIONS = Options(level=1, threads=1, block_bytes=BLOCK_BYTES)
NODE = {"num_cpus": 1, "object_store_memory": 100 << 20, "include_dashboard": False}
PACKAGE = str(Path(arzip.__file__).parent.parent)


class Nodes:
    """A cluster of a head without workers and three nodes with one each."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        self.cluster = Cluster(initialize_head=True, head_node_args=NODE | {"num_cpus": 0})
        self.nodes: list[Any] = []
        self.fill()

    @property
    def address(self) -> str:
        return str(self.cluster.address)

    def fill(self) -> None:
        """Add nodes until there are three."""
        while len(self.nodes) < 3:
            try:
                self.nodes.append(self._add())
            except Exception:  # it wasn't up within Ray's 30 seconds: the machine is busy
                self.nodes.append(self._add())

    def _add(self) -> Any:
        return self.cluster.add_node(num_cpus=1, object_store_memory=NODE["object_store_memory"])

    def kill_one(self) -> None:
        """End all processes of a node at once."""
        self.cluster.remove_node(self.nodes.pop(), allow_graceful=False)


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in LOCAL_SETTINGS.items():
            patch.setenv(name, value)
        patch.setenv("PYTHONPATH", PACKAGE)
        found = Nodes()
        try:
            yield found
        finally:
            ray.shutdown()
            found.cluster.shutdown()


@pytest.fixture(scope="module")
def raw() -> bytes:
    return helpers.english(250_000) + helpers.words(700_000) + helpers.english(400_000)[250_000:]


@pytest.fixture(scope="module")
def archive(raw: bytes) -> bytes:
    """As one machine makes it."""
    return helpers.compress(raw, OPTIONS)


def when_records_are_there(folder: Path, count: int, act: Callable[[], Any]) -> threading.Thread:
    """Start a thread that acts once a journal has so many blocks."""

    def watch() -> None:
        end = time.monotonic() + 120
        while len(list(folder.glob("block-*"))) < count and time.monotonic() < end:
            time.sleep(0.02)
        act()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


def test_a_node_is_killed_and_the_archive_is_that_of_one_machine(
    nodes: Nodes, raw: bytes, archive: bytes, tmp_path: Path
) -> None:
    source, target = tmp_path / "raw", tmp_path / "raw.arz"
    source.write_bytes(raw)
    killer = when_records_are_there(Path(f"{target}{SUFFIX}"), 2, nodes.kill_one)
    report = arzip.cluster.compress(source, level=1, block_size=BLOCK_BYTES, cluster=nodes.address)
    killer.join()
    assert target.read_bytes() == archive
    assert any("its worker was lost" in line for line in report.retried)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["raw", "raw.arz"]


def test_a_node_is_killed_while_decompressing(nodes: Nodes, raw: bytes, archive: bytes, tmp_path: Path) -> None:
    nodes.fill()
    (tmp_path / "raw.arz").write_bytes(archive)
    killer = when_records_are_there(tmp_path / f"back{SUFFIX}", 2, nodes.kill_one)
    report = arzip.cluster.decompress(tmp_path / "raw.arz", tmp_path / "back", cluster=nodes.address)
    killer.join()
    assert (tmp_path / "back").read_bytes() == raw
    assert any("its worker was lost" in line for line in report.retried)


def test_a_driver_is_killed_and_another_goes_on(nodes: Nodes, raw: bytes, archive: bytes, tmp_path: Path) -> None:
    source, target = tmp_path / "raw", tmp_path / "raw.arz"
    source.write_bytes(raw)
    command = [sys.executable, "-m", "arzip", "compress", "-1v", "-b", str(BLOCK_BYTES), "--cluster", nodes.address]
    environment = os.environ | {"PYTHONPATH": PACKAGE}
    driver = subprocess.Popen([*command, str(source)], env=environment, stderr=subprocess.DEVNULL)
    when_records_are_there(Path(f"{target}{SUFFIX}"), 3, lambda: driver.send_signal(signal.SIGKILL)).join()
    assert driver.wait() == -signal.SIGKILL and not target.exists()
    records = len(list(Path(f"{target}{SUFFIX}").glob("block-*")))
    blocks = -(-len(raw) // BLOCK_BYTES)
    assert 3 <= records < blocks
    done = subprocess.run([*command, "--resume", str(source)], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert target.read_bytes() == archive
    assert f"of an earlier run: {records} blocks" in done.stderr


def test_a_file_that_is_damaged_stops_no_other(
    nodes: Nodes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(20):
        path = tmp_path / "tree" / str(number % 3) / str(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(helpers.words(400, seed=number))
    how = ["-r", "--cluster", nodes.address, "--no-progress"]
    assert main(["-1", *how, str(tmp_path / "tree"), "-o", str(tmp_path / "arz")]) == 0
    damaged = tmp_path / "arz" / "1" / "7.arz"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    assert main(["-d", *how, str(tmp_path / "arz"), "-o", str(tmp_path / "back")]) == 2
    [line] = [line for line in capsys.readouterr().err.splitlines() if line.startswith("arzip")]
    assert str(damaged) in line and "truncated" in line
    restored = {path.name: path.read_bytes() for path in (tmp_path / "back").rglob("*") if path.is_file()}
    assert restored == {str(n): helpers.words(400, seed=n) for n in range(20) if n != 7}


def test_no_cluster_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a")
    command = [sys.executable, "-m", "arzip", "compress", "--cluster", "127.0.0.1:1", str(tmp_path / "a")]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": PACKAGE}, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
    assert "no cluster at '127.0.0.1:1'" in done.stderr and "--cluster local" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
