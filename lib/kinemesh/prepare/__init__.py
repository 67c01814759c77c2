"""Other people's data in this project's formats, from the files that they download."""
