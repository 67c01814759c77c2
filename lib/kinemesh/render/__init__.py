"""Pictures of bodies without a graphics card or a display: a NumPy rasteriser, sheets of clips, video files."""
