"""Scripts that measure the project's published figures; README.md in this folder has the results."""
