"""How fast the project is, against what one would write first; see README.md."""
