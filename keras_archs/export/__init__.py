"""From a Keras model to a version in a model repository that TensorFlow Serving and the gateway can serve.

`answer` decides what the model's output means, `signatures` builds the graph, `frozen_weights` puts the weights into
it, `reference` and `written_graph` compare its answers with the model's, and `publish` writes a version atomically.
"""
