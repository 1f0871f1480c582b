"""Where images come from, divided into shards of consecutive images in an order that stays the same."""

from keras_archs.batch.sources.shard import Shard
from keras_archs.batch.sources.source import Source, open_source

__all__ = ["Shard", "Source", "open_source"]
