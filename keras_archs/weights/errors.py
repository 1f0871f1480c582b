"""The errors of weights that cannot be had or cannot be loaded."""


class CheckpointError(ValueError):
    """A checkpoint is damaged, not in the expected format, or does not match the network."""


class DownloadError(OSError):
    """No place has a file of the weights that is what was published; the message lists the places and the reasons."""
