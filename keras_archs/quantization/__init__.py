"""From a published version to one with an int8 graph beside its float32 graph, and what int8 costs in accuracy."""
