"""Other systems' bodies: their files, and which frame each row belongs to."""
