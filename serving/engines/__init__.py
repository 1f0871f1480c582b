"""Implementations of the engine interface: `embedded` computes in this process, `tf_serving` asks TensorFlow Serving.

One contract suite in the tests runs over both.
"""
