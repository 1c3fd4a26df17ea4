"""fuzz.py TARGET [SECONDS] [ARGUMENTS OF LIBFUZZER]: a coverage-guided fuzzer, which needs atheris (PyPI).

Starts from corpus/TARGET and leaves it as it is, unless --keep is given: then what reaches new code is added. A finding
is left as crash-.. in the current folder. --corpus TARGET writes the first seeds; --replay TARGET FILE.. runs inputs.
"""

from __future__ import annotations

import sys
import tempfile
from hashlib import sha256
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"
sys.path.insert(0, str(Path(__file__).parent))


def write_seeds(name: str) -> None:
    """Write the first seeds of a target."""
    import targets

    targets.switch_checks_off()
    folder = CORPUS / name
    folder.mkdir(parents=True, exist_ok=True)
    for seed in targets.seeds()[name]:
        (folder / sha256(seed).hexdigest()[:12]).write_bytes(seed)


def main() -> None:
    if sys.argv[1] == "--corpus":
        return write_seeds(sys.argv[2])
    if sys.argv[1] == "--replay":
        import targets

        targets.switch_checks_off()
        for path in sys.argv[3:]:
            targets.TARGETS[sys.argv[2]](Path(path).read_bytes())
        return
    import atheris

    with atheris.instrument_imports(include=["arzip.format", "arzip.weights.head", "arzip.preprocess", "arzip.errors"]):
        import targets
    targets.switch_checks_off()
    name, rest = sys.argv[1], [word for word in sys.argv[2:] if word != "--keep"]
    seconds = rest.pop(0) if rest and rest[0].isdigit() else "60"
    folders = [str(CORPUS / name)]
    if "--keep" not in sys.argv:
        folders.insert(0, tempfile.mkdtemp())
    options = [f"-max_total_time={seconds}", "-max_len=4096", "-timeout=20", "-rss_limit_mb=2048"]
    atheris.Setup([sys.argv[0], *options, *rest, *folders], targets.TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
