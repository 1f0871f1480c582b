"""Accuracy of a published version on images with known classes, as numbers, table and page."""
