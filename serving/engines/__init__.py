"""Implementations of the engine interface: `embedded` computes in this process, `tf_serving` calls TensorFlow Serving.

`repository_engine` holds their common part; one contract suite in the tests runs over both.
"""
