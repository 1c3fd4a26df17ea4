"""Files, threads and the user's folders: what the operating system provides."""
