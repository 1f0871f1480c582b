"""The parts of a training's page, a module each; a part that has nothing to show is empty."""
