"""Checkpoint files of all kinds: released, pretrained, ours; damaged, hostile, of another size."""

import os
import pickle
import resource

import numpy as np
import pytest
import torch

from kinemesh.files.checkpoints import load_checkpoint, nonfinite_number, save_checkpoint
from kinemesh.model.building import build_refiner
from kinemesh.model.opening import load_pretrained, open_checkpoint
from kinemesh.training.checkpoint import prepare_folder
from kinemesh.training.optimizer import build_optimizer
from kinemesh.training.optimizers.states import restore_optimizer
from tests.refusals import refused, refuses

BODY_TENSORS = {
    "betas": (64, 10), "global_orient": (64, 3), "body_pose": (64, 69), "shapedirs": (60, 3, 10), "v_template": (60, 3),
    "J_regressor": (24, 60), "vertex_joint_selector.extra_joints_idxs": (21,),
}  # fmt: skip


@pytest.fixture
def stepped(small_model, small_config):
    """A model and its optimizer after one step."""
    model = small_model()
    optimizer = build_optimizer(model, small_config())
    model(torch.rand(2, 8, 17, 3)).rotations.sum().backward()
    optimizer.step()
    return model, optimizer


@pytest.fixture
def read_model(small_config):
    """Fills a regressor from a file, as a run whose config has these changes does; returns the file's content."""

    def read(model, path, **changes):
        opened = open_checkpoint(path, small_config(**changes), "regressor")
        opened.fill(model)
        return opened.content

    return read


@pytest.fixture
def released(small_model, tmp_path):
    """A checkpoint as the released code writes it: `module.` prefixes, body tensors, a numpy scalar."""
    model = small_model()
    state = {f"module.{name}": value for name, value in model.state_dict().items()}
    state |= {f"module.head.smpl.{name}": torch.zeros(shape) for name, shape in BODY_TENSORS.items()}
    path = tmp_path / "best_epoch.bin"
    torch.save({"epoch": 7, "lr": [1e-4, 1e-4], "optimizer": {}, "model": state, "best_jpe": np.float32(61.5)}, path)
    return path, model


class TestReleasedMeshCheckpoint:
    def test_loads_as_it_is(self, released, small_model, read_model):
        path, original = released
        model = small_model()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.zero_()
        content = read_model(model, path)
        assert content["best_jpe"] == 61.5
        assert isinstance(content["best_jpe"], float)
        for name, value in original.state_dict().items():
            assert torch.equal(model.state_dict()[name], value), name

    @pytest.mark.parametrize("heads", [2, 8])
    def test_another_number_of_heads_is_said(self, released, read_model, small_model, heads, caplog):
        """Every tensor fits, and the model computes something else."""
        read_model(small_model(num_heads=heads), released[0], num_heads=heads)
        assert ("num_heads is 2 in the config; the file does not record it" in caplog.text) == (heads == 2)

    @pytest.mark.parametrize("scalar", [np.float64(61.5), np.float32(61.5), 61.5, 9999.0])
    def test_any_form_of_best_jpe(self, tmp_path, scalar):
        torch.save({"best_jpe": scalar}, tmp_path / "x.bin")
        assert load_checkpoint(tmp_path / "x.bin")["best_jpe"] == float(scalar)

    def test_keys_that_hold_none_are_absent(self, tmp_path):
        keys = ("epoch", "step", "lr", "optimizer", "best_jpe", "config", "selected_on", "model_in_training")
        torch.save({"model": {"a": torch.ones(1)}, **dict.fromkeys(keys)}, tmp_path / "x.bin")
        assert list(load_checkpoint(tmp_path / "x.bin")) == ["model"]

    def test_a_backbone_without_its_optimizer_state(self, small_model, tmp_path):
        state = {f"module.{name}": value + 1 for name, value in small_model().backbone.state_dict().items()}
        content = {"epoch": 3, "lr": 1e-4, "optimizer": None, "min_loss": None, "model_pos": state}
        torch.save(content, tmp_path / "x.bin")
        model = small_model()
        load_pretrained(model, "regressor", tmp_path / "x.bin")
        assert torch.equal(model.backbone.pos_embed, state["module.pos_embed"])

    def test_optimizer_state_with_body_parameters(self, stepped, small_config):
        model, optimizer = stepped
        state = optimizer.state_dict()
        count = sum(len(group["params"]) for group in state["param_groups"])
        state["param_groups"][1]["params"] += [count, count + 1, count + 2]
        fresh = build_optimizer(model, small_config())
        restore_optimizer(fresh, state, "x.bin")
        weight = model.head.fc1.weight
        assert torch.equal(fresh.state[weight]["exp_avg"], optimizer.state[weight]["exp_avg"])

    def test_optimizer_state_of_an_old_pytorch(self, stepped, small_config):
        model, optimizer = stepped
        state = optimizer.state_dict()
        for values in state["state"].values():
            values["step"] = int(values["step"])
        old = {"lr": 0.5, "betas": [0.8, 0.9], "eps": 1e-7, "weight_decay": 0.1, "amsgrad": False}
        state["param_groups"] = [{"params": group["params"]} | old for group in state["param_groups"]]
        fresh = build_optimizer(model, small_config())
        restore_optimizer(fresh, state, "x.bin")
        for group in fresh.param_groups:
            assert (group["lr"], group["betas"], group["eps"], group["weight_decay"]) == (0.5, (0.8, 0.9), 1e-7, 0.1)
            assert group["fused"] is True
        assert fresh.state[model.head.fc1.weight]["step"].item() == 1
        fresh.step()

    def test_optimizer_state_of_other_parameters(self, small_model, small_config):
        state = build_optimizer(small_model(depth=2), small_config()).state_dict()
        with refused("optimizer state does not fit"):
            restore_optimizer(build_optimizer(small_model(), small_config()), state, "x.bin")


class TestPretrainedBackbone:
    def write(self, model, tmp_path, **changes):
        state = {f"module.{name}": value for name, value in model.backbone.state_dict().items()} | changes
        torch.save({"epoch": 3, "model_pos": state}, tmp_path / "latest_epoch.bin")
        return tmp_path / "latest_epoch.bin"

    def test_loads_and_reports(self, small_model, tmp_path, caplog):
        caplog.set_level("INFO")
        source, model = small_model(), small_model()
        with torch.no_grad():
            source.backbone.joints_embed.weight += 1.0
        others = {"module.pos_embed": torch.zeros(1, 5, 5), "module.other": torch.zeros(1)}
        path = self.write(source, tmp_path, **others)
        load_pretrained(model, "regressor", path)
        assert torch.equal(model.backbone.joints_embed.weight, source.backbone.joints_embed.weight)
        count = len(model.backbone.state_dict())
        assert f"{count - 1} of {count} backbone tensors loaded; not loaded: other, pos_embed" in caplog.text

    @pytest.mark.parametrize(
        ("kind", "with_head", "said"),
        [
            ("regressor", True, "head tensors loaded"),
            ("regressor", False, "its head is left out, as finetune_head: False says"),
            ("refiner", True, "its head is left out, which is a regressor's"),
        ],
    )
    def test_a_mesh_model_gives_its_head_too(self, small_model, tmp_path, caplog, kind, with_head, said):
        caplog.set_level("INFO")
        source, model = small_model(), small_model()
        with torch.no_grad():
            for parameter in source.parameters():
                parameter.add_(1.0)
        # In half precision, as what is shipped.
        torch.save({"model": {name: value.half() for name, value in source.state_dict().items()}}, tmp_path / "x.bin")
        before = model.head.fc1.weight.clone()
        assert load_pretrained(model, kind, tmp_path / "x.bin", with_head=with_head) is False
        assert torch.equal(model.backbone.pos_embed, source.backbone.pos_embed.half().float())
        expected = source.head.fc1.weight.half().float() if said.startswith("head") else before
        assert torch.equal(model.head.fc1.weight, expected) and model.head.fc1.weight.dtype == torch.float32
        assert said in caplog.text

    def test_nothing_fits_another_kind_and_a_missing_file_are_told(self, small_model, tmp_path):
        torch.save({"model_pos": {"a": torch.zeros(1)}}, tmp_path / "x.bin")
        refuses("none of its 1 tensors fits", load_pretrained, small_model(), "regressor", tmp_path / "x.bin")
        torch.save({"best_jpe": 1.0}, tmp_path / "x.bin")
        refuses("no 'model_pos' in it", load_pretrained, small_model(), "regressor", tmp_path / "x.bin")
        with refused("none.bin not found. Download MotionBERT's pretrained backbone"):
            load_pretrained(small_model(), "regressor", tmp_path / "none.bin")


def tensors(count=1, **changes):
    return {f"w{number}": torch.ones(2) for number in range(count)} | changes


class TestWrongKinds:
    """A checkpoint that can be read, of values that are not what its keys say."""

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ({"model": [torch.ones(1)]}, "'model' is not a dict of tensors"),
            ({"model": {"a": "text"}}, "'model' is not a dict of tensors"),
            ({"model": {1: torch.ones(1)}}, "'model' is not a dict of tensors"),
            ({"model_pos": {"a": 1.0}}, "'model_pos' is not a dict of tensors"),
            ({"model_in_training": []}, "'model_in_training' is not a dict of tensors"),
            ({"model": tensors(1), "model_in_training": tensors(2)}, "are of two models"),
            ({"model": tensors(1), "model_in_training": tensors(w0=torch.ones(3))}, "are of two models"),
            ({"epoch": "3"}, "'epoch' is not a whole number"),
            ({"epoch": -1}, "'epoch' is not a whole number"),
            ({"epoch": 1 << 80}, "'epoch' is not a whole number"),
            ({"step": torch.ones(1)}, "'step' is not a whole number"),
            ({"best_jpe": "low"}, "'best_jpe' is not a number"),
            ({"best_jpe": float("nan")}, "'best_jpe' is not a number"),
            ({"best_jpe": 10**400}, "'best_jpe' is not a number"),
            ({"best_jpe": [1.0]}, "'best_jpe' is not a number"),
            ({"optimizer": []}, "'optimizer' is not an optimizer's state"),
            ({"config": "text"}, "'config' is not a dict of a config's keys and values"),
            ({"config": {"depth": torch.ones(2)}}, "'config' is not a dict of a config's keys and values"),
            ({"config": {"depth": 1 << 70}}, "'config' is not a dict of a config's keys and values"),
            ({"config": {"refine_rotation": "diagonals"}}, "'config' is not a dict of a config's keys and values"),
            ({3: torch.ones(1)}, "holds a key of type int, expected text"),
        ],
    )
    def test_values(self, content, message, tmp_path):
        torch.save(content, tmp_path / "x.bin")
        refuses(f"x.bin: .*{message}", load_checkpoint, tmp_path / "x.bin")

    def test_a_model_of_whole_numbers(self, small_model, tmp_path, read_model):
        state = {name: value.to(torch.int64) for name, value in small_model().state_dict().items()}
        torch.save({"model": state}, tmp_path / "x.bin")
        with refused("does not fit the model of the config: .* holds torch.int64, expected"):
            read_model(small_model(), tmp_path / "x.bin")

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda state: state.pop("state"), "'state'"),
            (lambda state: state.update(state=[]), "list"),
            (lambda state: state.update(param_groups=None), "NoneType"),
            (lambda state: state["param_groups"][0].update(lr="high"), "lr is not a number"),
            (lambda state: state["param_groups"][0].update(lr=float("nan")), "lr is not a number"),
            (lambda state: state["param_groups"][0].update(betas=0.9), "not iterable"),
            (lambda state: state["param_groups"][0].update(betas=(0.9, "x")), "betas is not a number"),
            (lambda state: state["param_groups"][0].update(betas=(0.9, 1.0)), "betas is not a number"),
            (lambda state: state["param_groups"][0].update(weight_decay=10**400), "weight_decay is not a number"),
            (lambda state: state["param_groups"][0].pop("betas"), "no betas in it, so another optimizer wrote it"),
            (lambda state: state["param_groups"][0]["params"].__setitem__(0, []), "unhashable"),
            (lambda state: state["state"][0].update(exp_avg=torch.ones(())), r"a state of shape \(\)"),
            (lambda state: state["state"][0].update(exp_avg="text"), "a state of str"),
            (lambda state: state["state"][0].update(step=-1), "step -1.0"),
            (lambda state: state["state"][0].update(step="one"), "could not convert"),
            (lambda state: state["state"][0].pop("exp_avg_sq"), "exp_avg_sq"),
        ],
    )
    def test_optimizer(self, change, message, small_config, stepped):
        model, optimizer = stepped
        state = optimizer.state_dict()
        change(state)
        with refused(rf"x.bin: its optimizer state does not fit \(.*{message}"):
            restore_optimizer(build_optimizer(model, small_config()), state, "x.bin")


@pytest.mark.parametrize("value", ["x", -1, float("nan"), 1 << 62, [1], torch.ones(3), {"seed": torch.ones(3)}])
@pytest.mark.parametrize("key", ["skipped_steps", "origin", "selected_on", "progress"])
def test_what_training_goes_on_from_is_of_its_kind(key, value, tmp_path):
    if (key, type(value)) in (("selected_on", str), ("progress", dict)):
        return
    torch.save({key: value}, tmp_path / "x.bin")
    refuses(f"x.bin: '{key}' is not .*Give another checkpoint", load_checkpoint, tmp_path / "x.bin")


class TestNotFinite:
    @pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
    @pytest.mark.parametrize("key", ["model", "model_pos", "model_in_training"])
    def test_weights_are_named(self, key, bad, tmp_path):
        torch.save({key: {"module.a": torch.ones(2), "module.b": torch.tensor([[1.0, bad]])}}, tmp_path / "x.bin")
        with refused(f"x.bin: '{key}.b' holds nan or infinity. Give another checkpoint"):
            load_checkpoint(tmp_path / "x.bin")

    def test_large_numbers_and_other_types_are_finite(self):
        largest = torch.full((4,), torch.finfo(torch.float32).max)
        finite = {"a": largest, "b": {"c": (largest / 2).bfloat16(), "d": torch.ones(0)}, "e": [1]}
        assert nonfinite_number(finite) is None
        assert nonfinite_number({"a": [{"lr": 1e-3}, {"lr": (0.9, float("nan"))}], "b": 1}) == "a.1.lr.1"
        assert nonfinite_number({"a": torch.ones(1, dtype=torch.int64), "b": {"c": largest.half()}}) == "b.c"

    @pytest.mark.parametrize("name", ["exp_avg", "exp_avg_sq"])
    def test_moments_are_named(self, name, small_model, small_config, stepped):
        _, optimizer = stepped
        state = optimizer.state_dict()
        state["state"][3][name].view(-1)[-1] = float("inf")
        with refused(rf"x.bin: 'optimizer.state.3.{name}' holds nan or infinity"):
            restore_optimizer(build_optimizer(small_model(), small_config()), state, "x.bin")


class TestWrongCheckpoints:
    def test_another_size_names_tensor_and_key(self, small_model, tmp_path, read_model):
        content = {"model": small_model(dim_feat=32).state_dict(), "config": {"dim_feat": 32, "depth": 1}}
        save_checkpoint(tmp_path / "x.bin", content)
        with refused(r"x.bin: does not fit .* It was trained with dim_feat: 32 \(config: 16\)"):
            read_model(small_model(), tmp_path / "x.bin")

    def test_other_values_that_no_shape_shows(self, small_model, tmp_path, read_model):
        content = {"model": small_model().state_dict(), "config": {"num_heads": 4}}
        save_checkpoint(tmp_path / "x.bin", content)
        with refused(r"x.bin: was trained with num_heads: 4 \(config: 2\). Expected the same"):
            read_model(small_model(), tmp_path / "x.bin")
        # Written before there was a choice: without.
        with refused(r"trained with .*crop_input: False \(config: True\)"):
            read_model(small_model(), tmp_path / "x.bin", crop_input=True)

    def test_another_kind_of_model_is_told(self, small_model, small_config, tmp_path, read_model):
        save_checkpoint(tmp_path / "x.bin", {"model": build_refiner(small_config()).state_dict()})
        with refused("holds a refiner, expected a regressor. Use train_mesh_refine.py"):
            read_model(small_model(), tmp_path / "x.bin")
        save_checkpoint(tmp_path / "x.bin", {"model_pos": {}})
        with refused("It is a pretrained backbone: give its folder to --pretrained"):
            read_model(small_model(), tmp_path / "x.bin")

    @pytest.mark.parametrize("content", [b"", b"text", b"\x80\x02garbage", b"PK\x03\x04short", pickle.dumps({"a": 1})])
    def test_damaged_files(self, tmp_path, content, read_model):
        (tmp_path / "x.bin").write_bytes(content)
        refuses("x.bin", read_model, torch.nn.Linear(1, 1), tmp_path / "x.bin")

    def test_cut_short(self, small_model, tmp_path):
        save_checkpoint(tmp_path / "x.bin", {"model": small_model().state_dict()})
        whole = (tmp_path / "x.bin").read_bytes()
        for part in (0.1, 0.5, 0.99):
            (tmp_path / "x.bin").write_bytes(whole[: int(len(whole) * part)])
            refuses(r"x\.bin ends early \(it has \d+ bytes and no directory", load_checkpoint, tmp_path / "x.bin")

    def test_code_in_a_checkpoint_is_not_run(self, tmp_path):
        marker = tmp_path / "ran"

        class Hostile:
            def __reduce__(self):
                return os.mkdir, (str(marker),)

        torch.save({"model": Hostile()}, tmp_path / "x.bin")
        refuses(r"x.bin: refused, nothing in it was run: it names posix.mkdir", load_checkpoint, tmp_path / "x.bin")
        assert not marker.exists()

    def test_missing_or_not_a_dict(self, tmp_path):
        refuses("none.bin not found", load_checkpoint, tmp_path / "none.bin")
        torch.save([1, 2], tmp_path / "x.bin")
        refuses("holds list, expected a checkpoint", load_checkpoint, tmp_path / "x.bin")


def test_leftovers_of_a_killed_write_are_removed(tmp_path):
    (tmp_path / ".latest_epoch.bin.abc123").write_bytes(b"half")
    (tmp_path / "latest_epoch.bin").write_bytes(b"whole")
    config = tmp_path / "tiny.yaml"
    config.write_text("epochs: 1")
    prepare_folder(tmp_path, config, epoch=0)
    assert sorted(os.listdir(tmp_path)) == ["latest_epoch.bin", "tiny.yaml"]


@pytest.fixture
def small_disk():
    """No file may grow beyond 200 kB: the system's own refusal, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


class TestWriting:
    @pytest.mark.parametrize("sizes", [[300_000], [1000] * 300, [49_990]])
    def test_a_full_disk_is_an_error_and_leaves_the_last_checkpoint(self, tmp_path, small_disk, sizes):
        path = tmp_path / "latest_epoch.bin"
        save_checkpoint(path, {"epoch": 1})
        before = path.read_bytes()
        with refused(r"latest_epoch.bin: cannot be written \(File too large\). Free space"):
            save_checkpoint(path, {str(number): torch.zeros(size) for number, size in enumerate(sizes)})
        assert path.read_bytes() == before
        assert os.listdir(tmp_path) == ["latest_epoch.bin"]

    def test_a_run_on_a_full_disk_goes_on_once_there_is_room(self, run, tmp_path, small_disk):
        # The first checkpoint of this size does not fit.
        refuses(r"best_epoch.bin: cannot be written \(File too large\)", run, epochs=1)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        run(epochs=1)
        assert load_checkpoint(tmp_path / "run" / "latest_epoch.bin")["epoch"] == 1

    def test_a_fault_that_is_no_disk_keeps_its_name(self, tmp_path):
        with pytest.raises(Exception, match="pickle|lambda"):
            save_checkpoint(tmp_path / "x.bin", {"a": lambda: 0})
        assert os.listdir(tmp_path) == []
