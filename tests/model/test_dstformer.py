"""The backbone: the released code's numbers, names and counts, and what its structure promises."""

import pytest
import torch

from kinemesh.geometry.keypoints import crop_to_box
from kinemesh.model.dstformer import DSTformer
from tests.refusals import refused

SIZES = {"dim_feat": 32, "dim_rep": 48, "depth": 2, "num_heads": 4, "mlp_ratio": 2, "maxlen": 27}


@pytest.fixture
def backbone() -> DSTformer:
    torch.manual_seed(0)
    return DSTformer(**SIZES).eval()


class TestReleased:
    @pytest.mark.parametrize(("name", "att_fuse"), [("backbone_fuse", True), ("backbone_mean", False)])
    def test_values_and_gradients(self, name, att_fuse, read_reference, weights_of):
        reference = read_reference(name)
        backbone = DSTformer(**SIZES, att_fuse=att_fuse)
        backbone.load_state_dict(weights_of(reference), strict=True)
        keypoints = reference["x"].requires_grad_()
        features = backbone.representation(keypoints)
        pose = backbone(keypoints)
        (features.square().sum() + pose.square().sum()).backward()
        found = {
            "rep": features,
            "out": pose,
            "x_grad": keypoints.grad,
            "qkv_grad": backbone.blocks_ts[1].attn_t.qkv.weight.grad,
        }
        for key, value in found.items():
            tolerance = 1e-5 * reference[key].abs().max().item()
            torch.testing.assert_close(value.detach(), reference[key], atol=tolerance, rtol=0, msg=key)

    def test_names_order_and_parameter_count(self, read_reference, weights_of, backbone):
        assert list(backbone.state_dict()) == list(weights_of(read_reference("backbone_fuse")))
        # An optimizer state knows parameters by their number alone.
        assert [name for name, _ in backbone.named_parameters()] == list(backbone.state_dict())
        with torch.device("meta"):
            backbone = DSTformer(dim_feat=512, dim_rep=512, depth=5, num_heads=8, mlp_ratio=2, maxlen=243)
        assert sum(parameter.numel() for parameter in backbone.parameters()) == 42_466_317


class TestFreshWeights:
    def test_truncated_normal_and_zero_biases(self):
        torch.manual_seed(0)
        backbone = DSTformer(dim_feat=128, dim_rep=128, depth=1, num_heads=4)
        for name, parameter in backbone.named_parameters():
            if name.endswith("embed") or (name.endswith("weight") and "norm" not in name and "ts_attn" not in name):
                assert parameter.std().item() == pytest.approx(0.02, rel=0.2), name
            elif name.endswith("bias") and "ts_attn" not in name:
                assert not parameter.any(), name

    def test_gates_start_even_which_is_the_mean(self, backbone):
        for gate in backbone.ts_attn:
            assert not gate.weight.any()
            assert (gate.bias == 0.5).all()
        mean = DSTformer(**SIZES, att_fuse=False).eval()
        left_over = mean.load_state_dict(backbone.state_dict(), strict=False)
        assert left_over.missing_keys == []
        assert all(key.startswith("ts_attn") for key in left_over.unexpected_keys)
        keypoints = torch.randn(2, 5, 17, 3)
        torch.testing.assert_close(backbone(keypoints), mean(keypoints))


class TestClips:
    def test_batched_equals_one_by_one(self, backbone):
        keypoints = torch.randn(4, 6, 17, 3)
        one_by_one = torch.cat([backbone.representation(clip[None]) for clip in keypoints])
        torch.testing.assert_close(backbone.representation(keypoints), one_by_one, atol=1e-6, rtol=1e-5)

    @pytest.mark.parametrize("frames", [1, 27])
    def test_any_length_up_to_maxlen(self, backbone, frames):
        keypoints = torch.randn(2, frames, 17, 3)
        assert backbone.representation(keypoints).shape == (2, frames, 17, 48)
        assert backbone(keypoints).shape == (2, frames, 17, 3)

    def test_longer_than_maxlen(self, backbone):
        with refused(r"clip_len: a clip of 28 frames is longer than maxlen 27.*Set clip_len to 27"):
            backbone.representation(torch.zeros(1, 28, 17, 3))

    def test_crop_input_reads_the_box_around_each_clips_person_and_its_place(self, backbone):
        keypoints = torch.rand(2, 6, 17, 3)
        moved = keypoints.clone()
        moved[1, ..., :2] = 0.1 * moved[1, ..., :2] - 0.6
        cropping = DSTformer(**SIZES, crop_input=True).eval()
        cropping.load_state_dict(backbone.state_dict() | {"joints_embed.weight": cropping.joints_embed.weight})
        difference = (cropping(moved) - cropping(keypoints)).abs().amax(dim=(1, 2, 3))
        assert difference[0] == 0
        assert difference[1] > 1e-3
        with torch.no_grad():
            cropping.joints_embed.weight[:, :3] = backbone.joints_embed.weight
            cropping.joints_embed.weight[:, 3:] = 0
        torch.testing.assert_close(cropping(moved), cropping(keypoints), atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(cropping(keypoints), backbone(crop_to_box(keypoints)))

    def test_pose_head_gets_no_gradient(self, backbone):
        backbone.representation(torch.randn(1, 2, 17, 3)).sum().backward()
        without = {name for name, parameter in backbone.named_parameters() if parameter.grad is None}
        assert without == {"head.weight", "head.bias"}
