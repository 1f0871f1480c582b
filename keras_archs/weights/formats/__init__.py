"""One reader per file format of weights.

A reader knows the format and nothing about networks; `keras_archs.weights.maps` knows which tensor is which variable.
"""
