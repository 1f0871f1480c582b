"""A new classifier on the features of a frozen network, fitted in seconds."""
