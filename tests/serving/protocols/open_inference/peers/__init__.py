"""Programs that run in the environment of `make peers`, where kserve is installed."""
