"""The architectures: one file per family, each with its table of variants, its block and its network."""
