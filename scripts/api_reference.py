"""Write the reference of the Python API into a folder, by pdoc: what `import arzip` offers, and arzip.api."""

from __future__ import annotations

import sys
from pathlib import Path

import pdoc
import pdoc.render

MODULES = ("arzip", "arzip.api.numcodecs", "arzip.api.zarr")


def write(folder: Path, modules: tuple[str, ...] = MODULES) -> list[str]:
    """Render the pages; returns the modules that are missing, as a library that they need is."""
    import importlib

    missing = []
    for name in modules:
        try:
            importlib.import_module(name)
        except ImportError:
            missing.append(name)
    pdoc.render.configure(docformat="restructuredtext", show_source=False, search=False)
    pdoc.pdoc(*(name for name in modules if name not in missing), output_directory=folder)
    return missing


if __name__ == "__main__":
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "site")
    for module in write(target):
        print(f"api_reference: without {module}: a library that it needs is missing", file=sys.stderr)
    print(target / "arzip.html")
