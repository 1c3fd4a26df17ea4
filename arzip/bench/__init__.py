"""`arzip bench`: arzip and other compressors on the same files, by the same rules.

A cell is one codec at one level on one file. `codecs` and `external` say what there is, `inputs` and `samples` on what,
`measure` has `worker` do one cell in a process of its own, `records` holds what came out, and `live`, `table`, `plot`
and `report` show it. Nothing here touches an archive's insides, but for the name of the model that it needs.
"""
