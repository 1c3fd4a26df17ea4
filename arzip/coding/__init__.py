"""The compiled loop that encoder and decoder share, and the range coder."""
