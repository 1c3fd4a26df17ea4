"""The command: python -m tests.reference.decoder FILE [MODELS] [--dictionary FILE] > OUT."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from . import decode_blocks
from .errors import ArchiveError


def main() -> None:
    parser = argparse.ArgumentParser(description="Decodes an archive to the standard output.")
    parser.add_argument("file", type=Path)
    parser.add_argument("models", type=Path, nargs="?", default=Path("models"), help="a folder of weights files")
    parser.add_argument("--dictionary", type=Path, metavar="FILE", help="what the archive was made with")
    args = parser.parse_args()
    dictionary = args.dictionary.read_bytes() if args.dictionary else b""
    try:
        for raw in decode_blocks(args.file.read_bytes(), args.models, dictionary):
            sys.stdout.buffer.write(raw)
    except ArchiveError as error:
        sys.exit(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
