"""The formats that tracks are written in, and how; light to import."""

FORMATS = ("npz", "mp4", "sheet", "html", "glb", "bvh", "amass")
# What is written where no format is named. AMASS's files end in npz, and would be met by what reads all npz of a folder.
DEFAULT_FORMATS = FORMATS[:-1]
# Of the mean of several bodies, which has no pose and no shape.
MESH_FORMATS = ("npy", "mp4", "sheet")
# In which axes bvh, glb, page and AMASS's files stand; "z_up" is the bvh's alone, as the others' are fixed.
AXES = ("y_up", "z_up", "camera")
BVH_NAMES = ("smpl", "mixamo")
