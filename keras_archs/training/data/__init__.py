"""Images with known classes: where they are, how they are divided, what is wrong with them, and batches of them."""
