"""Many images to a table: what a published version answers for each image of folders, lists, tables and archives."""
