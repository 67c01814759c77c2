"""The report page: an evaluation's figures, charts and worst clips in one HTML file."""
