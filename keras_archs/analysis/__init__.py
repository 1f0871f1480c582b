"""Analysis of networks: cost counts, latency, receptive fields, compound scaling, explanations, features and plots.

`keras_archs.models` never imports this package; the functions here build networks by name.
"""
