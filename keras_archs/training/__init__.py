"""From images with known classes to numbers: image folders, and the accuracy of a network on them.

Nothing here needs Keras: a network is a published version, which a runtime of `keras_archs.runtimes` runs.
"""
