"""Prometheus metrics: requests, what models do for them, the states of the engine, and the load."""

from __future__ import annotations

from serving.protocols.metrics.gateway import GatewayMetrics

__all__ = ["GatewayMetrics"]
