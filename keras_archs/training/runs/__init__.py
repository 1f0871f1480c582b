"""A training from its command to its folder, its page and its published version."""
