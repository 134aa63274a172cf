"""Read files of other managers and programs as drafts of items."""
