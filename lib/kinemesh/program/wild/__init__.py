"""`infer_wild_mesh.py`: its flags, and what it does."""
