"""The protocols of clients: thin adapters from HTTP to the core, with body limits, problem documents and metrics.

Each protocol is one module or package; `rest` is the gateway's own API.
"""
