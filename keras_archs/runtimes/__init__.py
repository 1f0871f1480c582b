"""Inference without a server: the folder of a published version in, class probabilities out.

Each runtime implements the protocol of `runtime`; a runtime's library is imported only with the runtime's own module.
"""
