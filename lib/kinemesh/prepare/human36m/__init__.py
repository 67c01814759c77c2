"""Human3.6M: its own recordings, and the SMPL parameters that others fitted to them."""
