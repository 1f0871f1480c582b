"""The Open Inference Protocol, version 2, of KServe and Triton: over HTTP with its binary tensors, and over gRPC.

`inputs.py` and `outputs.py` are the tensors of a request and of its answer, whatever carries them: `http_body.py` puts
them into JSON and bytes, `grpc_messages.py` into messages. `metadata.py` says what a model takes and gives. `routes.py`
and `grpc_server.py` are the two ways in; both obey the limits and the errors of the core.
"""
