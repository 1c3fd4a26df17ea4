"""arzip: a lossless compressor whose archives open, byte for byte, on every machine."""
