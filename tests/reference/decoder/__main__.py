"""python -m tests.reference.decoder FILE [MODELS] > OUT: decodes an archive with the weights files of a folder."""

from __future__ import annotations

import sys
from pathlib import Path

from . import decode_blocks
from .errors import ArchiveError


def main() -> None:
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    models = Path(sys.argv[2] if len(sys.argv) > 2 else "models")
    try:
        for raw in decode_blocks(Path(sys.argv[1]).read_bytes(), models):
            sys.stdout.buffer.write(raw)
    except ArchiveError as error:
        sys.exit(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
