import copy

import pytest
import torch

from kinemesh.training.optimizer import build_optimizer, choose_trainable
from kinemesh.training.optimizers.muon import Muon, orthogonalize


class TestOrthogonalize:
    @pytest.mark.parametrize("shape", [(16, 16), (48, 16), (16, 48)])
    def test_singular_values_come_near_one_and_vectors_stay(self, shape):
        torch.manual_seed(0)
        matrix = torch.randn(shape, dtype=torch.float64)
        left, _, right = torch.linalg.svd(matrix, full_matrices=False)
        inner = left.mT @ orthogonalize(matrix) @ right.mT
        assert (inner.diagonal() > 0.6).all()
        assert (inner.diagonal() < 1.3).all()
        assert (inner - inner.diagonal().diag()).abs().max() < 1e-9

    def test_scale_and_batches_do_not_matter_and_zero_stays_zero(self):
        matrix = torch.randn(8, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        torch.testing.assert_close(orthogonalize(matrix), orthogonalize(1e-3 * matrix))
        assert not orthogonalize(torch.zeros(8, 12)).any()
        matrices = torch.randn(5, 8, 12, generator=torch.Generator().manual_seed(0))
        torch.testing.assert_close(orthogonalize(matrices), torch.stack([orthogonalize(one) for one in matrices]))


def gradients_for(parameters, step: int) -> None:
    generator = torch.Generator().manual_seed(step)
    for parameter in parameters:
        parameter.grad = torch.randn(parameter.shape, generator=generator)


class TestMuon:
    def test_other_groups_take_adamw_steps(self):
        parameters = [torch.nn.Parameter(torch.ones(3, 4)), torch.nn.Parameter(torch.ones(5))]
        twins = [torch.nn.Parameter(parameter.detach().clone()) for parameter in parameters]
        own = Muon([{"params": parameters, "lr": 0.01}], weight_decay=0.1)
        adamw = torch.optim.AdamW(twins, lr=0.01, betas=(0.9, 0.95), weight_decay=0.1)
        for step in range(5):
            gradients_for(parameters, step)
            gradients_for(twins, step)
            own.step()
            adamw.step()
        for parameter, twin in zip(parameters, twins, strict=True):
            torch.testing.assert_close(parameter, twin)

    def test_first_step_of_a_matrix(self):
        matrix = torch.nn.Parameter(torch.ones(6, 3))
        gradients_for([matrix], 0)
        expected = (1 - 0.1 * 0.5) * torch.ones(6, 3) - 0.1 * 2**0.5 * orthogonalize(matrix.grad)
        Muon([{"params": [matrix], "lr": 0.1, "is_matrix": True}], weight_decay=0.5).step()
        torch.testing.assert_close(matrix.detach(), expected)

    def test_without_gradient_nothing_moves(self):
        matrix = torch.nn.Parameter(torch.ones(6, 3))
        optimizer = Muon([{"params": [matrix], "lr": 0.1, "is_matrix": True}], weight_decay=0.5)
        optimizer.step()
        assert (matrix == 1).all()
        assert not optimizer.state

    def test_state_goes_through_a_file(self):
        def make():
            parameters = [torch.nn.Parameter(torch.ones(3, 4)), torch.nn.Parameter(torch.ones(5))]
            groups = [{"params": parameters[1:], "lr": 0.01}, {"params": parameters[:1], "lr": 0.1, "is_matrix": True}]
            return parameters, Muon(groups, weight_decay=0.1)

        parameters, optimizer = make()
        for step in range(3):
            gradients_for(parameters, step)
            optimizer.step()
        others, other = make()
        for parameter, twin in zip(parameters, others, strict=True):
            twin.data.copy_(parameter.data)
        other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
        for side, stepper in ((parameters, optimizer), (others, other)):
            gradients_for(side, 9)
            stepper.step()
        for parameter, twin in zip(parameters, others, strict=True):
            assert torch.equal(parameter, twin)

    def test_a_state_from_the_cpu_is_loaded_onto_the_parameters_device(self):
        (weight, elsewhere), found = (torch.nn.Parameter(torch.ones(5, device=name)) for name in ("cpu", "meta")), []
        for parameter in (weight, elsewhere):
            found.append(Muon([{"params": [parameter], "lr": 0.01}], weight_decay=0.1))
        gradients_for([weight], 0)
        found[0].step()
        found[1].load_state_dict(copy.deepcopy(found[0].state_dict()))
        assert {value.device.type for value in found[1].state[elsewhere].values()} == {"meta"}


class TestInARun:
    def test_every_parameter_is_in_one_group_and_matrices_are_those_of_layers(self, small_model, small_config):
        model = small_model()
        optimizer = build_optimizer(model, small_config(opt="muon", lr_matrix=0.03))
        held = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        assert len(held) == len(set(held)) == len(list(model.parameters()))
        assert [group["is_matrix"] for group in optimizer.param_groups] == [False, False, True]
        assert [group["lr"] for group in optimizer.param_groups] == [1e-3, 1e-3, 0.03]
        names = {parameter: name for name, parameter in model.named_parameters()}
        matrices = {names[parameter] for parameter in optimizer.param_groups[2]["params"]}
        assert {"backbone.blocks_st.0.attn_s.qkv.weight", "head.fc1.weight"} <= matrices
        assert not matrices & {"backbone.pos_embed", "backbone.head.weight", "head.head_pose.weight"}

    def test_frozen_parameters_are_in_no_group(self, small_model, small_config):
        model = small_model()
        choose_trainable(model, ["norm"])
        optimizer = build_optimizer(model, small_config(opt="muon"))
        assert all(parameter.requires_grad for group in optimizer.param_groups for parameter in group["params"])
