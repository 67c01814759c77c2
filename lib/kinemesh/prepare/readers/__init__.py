"""Published layouts of bodies in pictures, one file a data set or a family of them."""
