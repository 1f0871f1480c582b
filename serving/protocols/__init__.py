"""What clients speak: thin adapters from HTTP to the core, with body limits, problem documents and metrics.

Each protocol is a module or package of its own; `rest` is the gateway's own API.
"""
