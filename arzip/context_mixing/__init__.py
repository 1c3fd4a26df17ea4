"""Online context mixing, as in PAQ: component models predict each bit, a gated mixer combines their predictions."""
