"""Tasks that deviate from what they share in a few weights."""
