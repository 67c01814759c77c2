"""The former place of `kinemesh.infer`, for one release."""

import sys
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from kinemesh.infer import Inference, MeshPredictor, Settings

__all__ = ["Inference", "MeshPredictor", "Settings"]
warnings.warn("lib.infer is now kinemesh.infer: from kinemesh.infer import MeshPredictor", FutureWarning, stacklevel=2)
