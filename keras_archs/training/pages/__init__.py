"""Parts of HTML pages that need no network and no other file: frame, measures, tables, lists, pictures, charts."""
