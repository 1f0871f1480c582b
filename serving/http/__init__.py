"""The REST contract: thin adapters over `serving.service`."""
