"""The version, said once: the package's metadata and `arzip --version` both read it here."""

__version__ = "0.1.0"
