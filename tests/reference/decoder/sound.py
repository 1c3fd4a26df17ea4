decode_sound=None
