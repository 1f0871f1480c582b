"""The gateway's own REST API: images in, class probabilities or activation maps out, described by OpenAPI."""
