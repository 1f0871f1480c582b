"""The lecture as notebooks; README.md lists them."""
