"""Inference without a server: the folder of a published version in, class probabilities out.

Each runtime implements the protocol of `runtime`; the library behind a runtime is imported only with its own module.
"""
