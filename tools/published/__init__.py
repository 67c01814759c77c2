"""Small files in the layouts of published data sets, of somebody whose body and camera are known."""
