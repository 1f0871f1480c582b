"""The gateway without protocols: the classification service, the engine interface, errors, the served repository.

No module here knows HTTP or gRPC: protocols call the service, and engines implement the interface in `engine`.
"""
