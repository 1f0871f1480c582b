"""Examples for the OpenAPI document that can be sent as they are."""

from typing import Final

IMAGE: Final = "R0lGODdhAQABAIAAAP///wAAACwAAAAAAQABAAACAkQBADs="
"""A white pixel as a GIF, in base64."""
