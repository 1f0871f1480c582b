"""Generators of the documentation site: tables from the cards, pictures of blocks, the REST reference, API pages."""
