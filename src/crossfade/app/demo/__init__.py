"""`crossfade demo`: the product's main job in a few minutes, on simulated clouds."""
