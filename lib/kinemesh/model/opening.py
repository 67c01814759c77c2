"""Opens checkpoints: what they hold, what they were trained as, and a model with their weights in it.

The one place for it: scripts, tools and inference call `open_checkpoint`, then `Checkpoint.build_model`.
"""

import logging
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from kinemesh.body.assets import BodyAssets
from kinemesh.config import Config, config_from_values, load_config
from kinemesh.errors import UserError
from kinemesh.files.checkpoints import load_checkpoint, mesh_weights
from kinemesh.model.building import DSTFORMER_KEYS, build_model, build_unchecked

logger = logging.getLogger(__name__)

# Config keys that set the model's size and its input: a checkpoint must have been written with the same ones.
_MODEL_KEYS = (*DSTFORMER_KEYS, "hidden_dim")
# Of all released models, light ones too.
_RELEASED_HEADS = 8
# What models were before there was a choice: a checkpoint whose config does not name the key is one of these.
_BEFORE_CHOICE = {"crop_input": False}
# The same of keys that are the checkpoint's whatever a config says.
_REFINER_BEFORE_CHOICE = {"refine_rotation": "rows", "refine_trust": 1, "refine_feedback": False}


class Checkpoint(NamedTuple):
    """A mesh checkpoint that was read, with the config that its model needs."""

    path: Path
    content: dict
    kind: str  # "regressor" or "refiner"
    config: Config

    def build_model(self, assets: BodyAssets) -> nn.Module:
        """A model on the CPU with the checkpoint's weights. Raises `UserError` if they do not fit the config."""
        with torch.device("meta"):  # what a file claims costs no memory, unless it holds that
            self._require_fit(build_unchecked(self.kind, self.config, assets))
        model = build_model(self.kind, self.config, assets)
        self.fill(model)
        return model

    def fill(self, model: nn.Module) -> None:
        """Put the checkpoint's weights into a model of its kind, every tensor fitting.

        Raises `UserError` if they do not, or the checkpoint records other values of the keys that make the model.
        """
        self._require_fit(model)
        model.load_state_dict(mesh_weights(self.content["model"]))

    def _require_fit(self, model: nn.Module) -> None:
        weights = mesh_weights(self.content["model"])
        written = {**_BEFORE_CHOICE, **self.content["config"]} if "config" in self.content else {}
        wanted = {key: getattr(self.config, key) for key in _MODEL_KEYS}
        _require_fit(model, weights, self.path, written, wanted)


def open_checkpoint(path: Path | str, config: Config | Path | str | None = None, kind: str | None = None) -> Checkpoint:
    """Read a mesh checkpoint, ours or a released one.

    Args:
        config: what it was trained with, or a YAML file of it; None: what the checkpoint itself holds, as ours do. Of a
            refiner the keys that say what it computes are the checkpoint's whatever the config says.
        kind: "regressor" or "refiner", where only one will do.

    Raises `UserError` for a file that is missing, damaged, or of another kind.
    """
    path = Path(path)
    content = load_checkpoint(path)
    found = kind_of(content, path)
    if kind is not None and found != kind:
        script = {"regressor": "train_mesh.py", "refiner": "train_mesh_refine.py"}[found]
        raise UserError(f"{path}: holds a {found}, expected a {kind}. Use {script} for it.")
    if config is None:
        if not isinstance(content.get("config"), dict):
            raise UserError(f"{path}: holds no config. Expected one beside it: give the YAML file.")
        config = config_from_values(content["config"], {}, str(path))
    elif not isinstance(config, Config):
        config = load_config(config)
    if "config" not in content and config.num_heads != _RELEASED_HEADS:
        logger.warning(
            "%s: num_heads is %d in the config; the file does not record it, its weights do not show it, and released models have %d",
            path, config.num_heads, _RELEASED_HEADS,
        )  # fmt: skip
    if found == "refiner":
        config = _as_trained(config, content, path)
    return Checkpoint(path, content, found, config)


def kind_of(content: dict, path: Path | str) -> str:
    """`regressor` or `refiner`. Raises `UserError` if the checkpoint is not of a mesh model."""
    if "model" not in content:
        hint = " It is a pretrained backbone: give its folder to --pretrained." if "model_pos" in content else ""
        raise UserError(f"{path}: no 'model' in it, so it is not a mesh checkpoint.{hint}")
    return "regressor" if "head.head_shape.weight" in mesh_weights(content["model"]) else "refiner"


def _as_trained(config: Config, content: dict, path: Path) -> Config:
    """The config with what a refiner was trained as; a released file says nothing: as released."""
    stored = content.get("config", {})
    found = {key: stored.get(key, value) for key, value in _REFINER_BEFORE_CHOICE.items()}
    why = "as it records" if "config" in content else "as released checkpoints are, since it records none"
    logger.info("%s: refine_rotation %s, %s", path, found["refine_rotation"], why)
    return config_from_values(config.to_dict() | found, {}, str(path))


def load_pretrained(model: nn.Module, kind: str, path: Path | str, *, with_head: bool = True) -> bool:
    """Copy what fits by name and shape of a pretrained backbone, or of a mesh model; log how much did, and what did not.

    Of a mesh model of the same kind ("regressor" or "refiner") the head is copied too, unless `with_head` is False.
    Returns whether it is a pretrained backbone; raises `UserError` if no tensor of the backbone fits.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(
            f"{path} not found. Download MotionBERT's pretrained backbone (MB_release) and give its folder to "
            f"--pretrained, or set finetune: False."
        )
    content = load_checkpoint(path)
    if "model_pos" in content:
        _copy_fitting(model.backbone, "backbone", mesh_weights(content["model_pos"]), path)
        return True
    if "model" not in content:
        raise UserError(
            f"{path}: no 'model_pos' in it, so it is not a pretrained backbone, and no 'model', so it is not a mesh model "
            f"(keys: {sorted(content)[:5]})."
        )
    weights = mesh_weights(content["model"])
    _copy_fitting(model.backbone, "backbone", _below(weights, "backbone."), path)
    found = kind_of(content, path)
    if not with_head:
        logger.info("%s: its head is left out, as finetune_head: False says", path)
    elif found != kind:
        logger.info("%s: its head is left out, which is a %s's", path, found)
    else:
        _copy_fitting(model.head, "head", _below(weights, "head."), path)
    return False


def _below(weights: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}


def _copy_fitting(part: nn.Module, name: str, state: dict[str, Tensor], path: Path) -> None:
    own = part.state_dict()
    fitting = {key: value for key, value in state.items() if key in own and own[key].shape == value.shape}
    left_out = sorted((set(own) | set(state)) - set(fitting))
    if not fitting:
        raise UserError(
            f"{path}: none of its {len(state)} tensors fits this {name}. Check dim_feat, depth, dim_rep and hidden_dim."
        )
    part.load_state_dict(fitting, strict=False)
    logger.info(
        "%s: %d of %d %s tensors loaded%s",
        path, len(fitting), len(own), name, f"; not loaded: {', '.join(left_out)}" if left_out else "",
    )  # fmt: skip


def _require_fit(model: nn.Module, weights: dict[str, Tensor], path: Path | str, written: dict, wanted: dict) -> None:
    own = model.state_dict()
    problems = [f"'{name}' is missing" for name in own if name not in weights]
    problems += [f"'{name[:80]}' is not in this model" for name in weights if name not in own]
    problems += [
        f"'{name}' has shape {tuple(weights[name].shape)}, expected {tuple(own[name].shape)}"
        for name in own
        if name in weights and weights[name].shape != own[name].shape
    ]
    problems += [
        f"'{name}' holds {weights[name].dtype}, expected {own[name].dtype}"
        for name in own
        if name in weights and weights[name].is_floating_point() != own[name].is_floating_point()
    ]
    differing = [
        f"{key}: {written[key]} (config: {value})" for key, value in wanted.items() if written.get(key, value) != value
    ]
    values = ", ".join(differing)
    if problems:
        known = f"It was trained with {values}." if differing else "Use the config that it was trained with."
        more = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
        raise UserError(f"{path}: does not fit the model of the config: {problems[0]}{more}. {known}")
    if differing:
        raise UserError(f"{path}: was trained with {values}. Expected the same: set the config's likewise.")
