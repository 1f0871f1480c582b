"""A stand-in for TensorFlow Serving: test support, and nothing that anybody should serve with.

It is written from TensorFlow Serving's documented behaviour, for machines where its binary cannot be installed: the
messages of `tensorflow-serving-api` over gRPC, SavedModels run by TensorFlow, version directories, `models.config` with
its policies and labels, and the texts and codes of its errors. What it adds are faults on demand (`faults.py`). What it
leaves out: batching, retries of failed loads, `Regress` and `MultiInference`. Unlike the real server it listens before
its first models are loaded.

    python -m tests.support.tf_serving --port 8500 --model_config_file models/models.config
"""
