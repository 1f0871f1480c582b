"""The course of a training, an entry per epoch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class EpochMetrics:
    """Numbers of one epoch; the fields are the columns of metrics.csv."""

    epoch: int
    """Number of the epoch, from 1; 0 for the first weights, e.g. those of a fitted head. A time limit may end the last
    epoch early."""
    step: int
    """Number of finished steps."""
    seconds: float
    """Time of the training so far, over all its processes one after another, without evaluation of the data."""
    learning_rate: float
    """Rate of the epoch's last step; 0 for epoch 0."""
    loss: float
    """Mean loss of the epoch's training batches; not a number for epoch 0."""
    accuracy: float
    """Share of the training images whose likeliest class is the target's, 0 to 1; not a number for epoch
    0."""
    validation_loss: float
    """Cross-entropy of the validation images in nats, without label smoothing."""
    validation_accuracy: float
    """Share of right answers, 0 to 1."""
