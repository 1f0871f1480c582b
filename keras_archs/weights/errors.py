"""The error of checkpoints that cannot be loaded."""


class CheckpointError(ValueError):
    """A checkpoint is damaged, not in the expected format, or does not match the network."""
