"""What `import arzip` offers, in the shape of the standard library's lzma.

The codec is imported when something is coded.
"""
