"""From a Keras model to a version in a model repository that TensorFlow Serving and the gateway can serve.

`publish` writes a version atomically, `signatures` builds its graph, `frozen_weights` puts the weights into the graph.
"""
