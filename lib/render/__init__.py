"""Pictures of bodies without a graphics card or a display: a NumPy rasteriser, and sheets of clips saved as PNG."""
