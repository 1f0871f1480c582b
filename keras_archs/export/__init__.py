"""From a Keras model to a version in a model repository, which TensorFlow Serving and the gateway serve as it is.

`publish` writes a version atomically, `signatures` builds its graph, `frozen_weights` puts the weights into the graph.
"""
