"""Attention: space attention sees no other frame, time attention no other joint, and both are the textbook's."""

import pytest
import torch

from kinemesh.model.attention import Attention


@pytest.mark.parametrize("over_time", [False, True])
def test_sees_its_own_axis_only(over_time):
    torch.manual_seed(0)
    attention = Attention(8, num_heads=2)
    features = torch.randn(2, 5, 17, 8)
    changed = features.clone()
    changed[1, 3, 4] += 1.0
    difference = (attention(changed, over_time) - attention(features, over_time)).abs().amax(-1)
    reached = torch.zeros(2, 5, 17, dtype=torch.bool)
    if over_time:
        reached[1, :, 4] = True
    else:
        reached[1, 3, :] = True
    assert (difference[reached] > 1e-5).all()
    assert (difference[~reached] < 1e-6).all()


@pytest.mark.parametrize("over_time", [False, True])
@pytest.mark.parametrize("frames", [1, 5, 12, 70])  # no mixing, elementwise, matrix products, the fused kernel
def test_equals_the_textbook(over_time, frames):
    torch.manual_seed(0)
    attention = Attention(8, num_heads=2)
    features = torch.randn(2, frames, 17, 8)
    textbook = torch.nn.MultiheadAttention(8, 2, batch_first=True)
    textbook.load_state_dict(
        {
            "in_proj_weight": attention.qkv.weight,
            "in_proj_bias": attention.qkv.bias,
            "out_proj.weight": attention.proj.weight,
            "out_proj.bias": attention.proj.bias,
        }
    )
    rows = (features.transpose(1, 2) if over_time else features).flatten(0, 1)
    expected = textbook(rows, rows, rows, need_weights=False)[0]
    expected = expected.unflatten(0, (2, -1))
    expected = expected.transpose(1, 2) if over_time else expected
    found = attention(features, over_time)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)

    for value in (found, expected):
        value.square().sum().backward()
    for own, other in (
        (attention.qkv.weight, textbook.in_proj_weight),
        (attention.qkv.bias, textbook.in_proj_bias),
        (attention.proj.weight, textbook.out_proj.weight),
    ):
        torch.testing.assert_close(own.grad, other.grad, atol=1e-5, rtol=1e-4)
