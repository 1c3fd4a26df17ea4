"""`arzip bench`: arzip and other compressors on the same files, by the same rules.

A cell is one codec at one level on one file. `codecs` and `external` define codecs, `inputs` and `samples` files;
`measure` runs each cell by `worker`, in its own process; `results` holds the rows, which `terminal`, `table`, `plot`
and `report` show. Archives are opaque here, but for the digest of the model they need.
"""
