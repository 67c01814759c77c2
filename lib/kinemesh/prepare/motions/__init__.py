"""Motion folders from files of motion: layouts, axes, shapes, and what is written."""
