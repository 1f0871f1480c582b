"""From an entry of published weights to a file on this machine whose content is what was published.

`fetching` searches and downloads in order, `places` knows the folders that may have a file, `integrity` decides whether
a file may be used, `first_seen` records the content of files without a published checksum, `transfer` brings a file
over HTTP, `progress` shows how far it is, and `hub` knows the addresses and the cache of the Hugging Face hub.
"""

from keras_archs.weights.download.fetching import Fetched, fetch, find

__all__ = ["Fetched", "fetch", "find"]
