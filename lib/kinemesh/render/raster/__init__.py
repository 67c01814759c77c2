"""How triangles become rows of places in a picture, many at a time and no more than memory is meant for."""
