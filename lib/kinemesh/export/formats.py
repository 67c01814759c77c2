"""The formats that tracks are written in; light to import."""

FORMATS = ("npz", "mp4", "html", "glb", "bvh")
# Of the mean of several bodies, which has no pose and no shape.
MESH_FORMATS = ("npy", "mp4")
