"""TensorFlow Serving's REST API, for clients that already speak it: `/v1/models/{model}`, `:predict`, `:classify`.

`predict_body.py` and `classify_body.py` read requests, `pixels.py` their nested lists, and `signatures.py` says what
the signatures of a model take and give. Answers have TensorFlow Serving's shapes. Errors are `{"error": "..."}` with
the gateway's own statuses and texts, except that an invalid argument is 400, as TensorFlow Serving answers it, not 422.
"""
