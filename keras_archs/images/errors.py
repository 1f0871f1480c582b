"""Why an image is refused. The messages are shown to clients, so they contain no path and no internals."""


class ImageError(ValueError):
    """The file is not an image in an accepted format, or the image is damaged."""


class UnsupportedImageError(ImageError):
    """The file is an image, but of a format or a kind that is not decoded here."""


class ImageTooLargeError(ImageError):
    """The header of the image declares more pixels than are accepted, or decoding takes too much memory or work."""
