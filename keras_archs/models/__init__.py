"""The networks: one module per family with its block, stage, network, table of variants and public builders.

`architecture` turns a function that assembles a network into a public builder with signature, help, checks and weights.
"""
