"""How near a result comes to the truth: arrays in, figures out."""
