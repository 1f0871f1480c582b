"""The lecture as notebooks; README.md in this folder lists them."""
