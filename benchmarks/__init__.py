"""What the project's figures come from, for anyone to run. See README.md in this folder."""
