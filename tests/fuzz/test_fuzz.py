"""The fuzzer's corpus, and changes of it: each input is taken as a user may meet it. fuzz.py looks further.

With atheris installed and ARZIP_FUZZ_SECONDS set, each target is fuzzed so long.
"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import arzip

FOLDER = Path(__file__).parent
TARGETS = ("container", "salvage", "recompress", "model")
SECONDS = os.environ.get("ARZIP_FUZZ_SECONDS", "0")
CHANGES = """
import random, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import targets
targets.switch_checks_off()
run, paths = targets.TARGETS[sys.argv[2]], sorted(Path(sys.argv[1], "corpus", sys.argv[2]).iterdir())
corpus = [path.read_bytes() for path in paths]
for data in corpus:
    run(data)
for number in range(int(sys.argv[3])):
    source = random.Random(number)
    data, other = source.choice(corpus), source.choice(corpus)
    for _ in range(source.randrange(1, 6)):
        at = source.randrange(len(data) + 1)
        kind = source.randrange(5)
        if kind == 0:
            data = data[:at] + bytes([source.randrange(256)]) + data[at + 1 :]
        elif kind == 1:
            data = data[:at] + data[at + source.randrange(1, 9) :]
        elif kind == 2:
            more = source.choice([b"\\0", b"\\xff", b"\\x7f", b"\\x80"]) * source.randrange(1, 5)
            data = data[:at] + more + data[at:]
        elif kind == 3:
            data = data[:at] + other[source.randrange(len(other) + 1) :]
        else:
            data = data[:at] + source.randbytes(3) + data[at + 3 :]
    try:
        run(data)
    except BaseException:
        print(number, data.hex(), file=sys.stderr)
        raise
print(len(corpus))
"""


def python(*args: str) -> subprocess.CompletedProcess[str]:
    path = str(Path(arzip.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": path}
    return subprocess.run([sys.executable, *args], capture_output=True, text=True, check=False, env=environment)


@pytest.mark.parametrize("target", TARGETS)
def test_changes_of_the_corpus_are_taken_as_a_user_may_meet_them(target: str) -> None:
    done = python("-c", CHANGES, str(FOLDER), target, "300" if target == "recompress" else "2000")
    assert done.returncode == 0, done.stderr[-3000:]
    assert int(done.stdout) > 1


@pytest.mark.skipif(SECONDS == "0" or not find_spec("atheris"), reason="needs atheris, and ARZIP_FUZZ_SECONDS")
@pytest.mark.parametrize("target", TARGETS)
def test_a_coverage_guided_fuzzer_finds_nothing(target: str, tmp_path: Path) -> None:
    done = python(str(FOLDER / "fuzz.py"), target, SECONDS, f"-artifact_prefix={tmp_path}/")
    assert done.returncode == 0, done.stderr[-3000:]
