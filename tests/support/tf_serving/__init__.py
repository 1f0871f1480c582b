"""A stand-in for TensorFlow Serving, for tests only.

Written from TensorFlow Serving's documented behaviour, for machines where its binary cannot be installed: the messages
of `tensorflow-serving-api` over gRPC, SavedModels run by TensorFlow, version directories, `models.config` with policies
and labels, and the real error codes and messages. Added: faults on demand (`faults.py`). Missing: batching, retries of
failed loads, `Regress` and `MultiInference`. Unlike the real server, it listens before its first models are loaded.

    python -m tests.support.tf_serving --port 8500 --model_config_file models/models.config
"""
