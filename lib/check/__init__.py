"""What a run needs, checked before anything takes long; with `--check` all of it, as a table."""
