"""The gateway without protocols: the classification service, engine interface, errors and the served repository.

Nothing here knows HTTP or gRPC; protocols call the service, and engines implement the interface of `engine`.
"""
