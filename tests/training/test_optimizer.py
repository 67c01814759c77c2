import copy

import pytest
import torch

from kinemesh.training.optimizer import build_optimizer, choose_trainable, learning_rates
from kinemesh.training.optimizers.average import AveragedModel
from kinemesh.training.optimizers.states import restore_optimizer
from tests.refusals import refused


class TestLearningRates:
    def test_released_rule_multiplies_each_epoch(self, small_config):
        config = small_config(lr_backbone=1e-3, lr_head=2e-3, lr_decay=0.9)
        assert learning_rates(config, 0, 0, 100) == (1e-3, 2e-3)
        assert learning_rates(config, 3, 50, 100) == pytest.approx((1e-3 * 0.9**3, 2e-3 * 0.9**3))

    @pytest.mark.parametrize("schedule", ["linear", "cosine"])
    def test_falling_schedules_end_at_a_hundredth(self, small_config, schedule):
        config = small_config(lr_schedule=schedule)
        rates = [learning_rates(config, 0, step, 100)[0] for step in range(101)]
        assert rates[0] == 1e-3
        assert rates == sorted(rates, reverse=True)
        assert rates[-1] == pytest.approx(1e-5)

    def test_warm_up_rises_to_the_first_rate(self, small_config):
        config = small_config(lr_schedule="cosine", warmup_steps=10)
        rates = [learning_rates(config, 0, step, 100)[0] for step in range(11)]
        assert rates[0] == pytest.approx(1e-4)
        assert rates == sorted(rates)
        assert rates[10] == 1e-3


class TestPartialTraining:
    def test_only_named_backbone_parameters_are_trained(self, small_model):
        model = small_model()
        choose_trainable(model, ["ts_attn", "blocks_st.0.mlp_s"])
        trained = {name for name, parameter in model.backbone.named_parameters() if parameter.requires_grad}
        names = [name for name, _ in model.backbone.named_parameters()]
        assert trained == {name for name in names if "ts_attn" in name or "blocks_st.0.mlp_s" in name}
        assert all(parameter.requires_grad for parameter in model.head.parameters())

    def test_frozen_parameters_are_not_in_the_optimizer_and_an_unknown_name_is_an_error(
        self, small_model, small_config
    ):
        model = small_model()
        choose_trainable(model, ["ts_attn"])
        assert len(build_optimizer(model, small_config()).param_groups[0]["params"]) == 2
        with refused("partial_train: 'blocks_xy' is in no backbone parameter's name"):
            choose_trainable(small_model(), ["blocks_xy"])


class TestBuildOptimizer:
    def test_two_groups_with_their_rates(self, small_model, small_config):
        optimizer = build_optimizer(small_model(), small_config(lr_backbone=1e-4, lr_head=5e-4))
        assert isinstance(optimizer, torch.optim.AdamW)
        assert [group["lr"] for group in optimizer.param_groups] == [1e-4, 5e-4]

    def test_sgd(self, small_model, small_config):
        """The released refiner's: plain, with weight decay."""
        model = small_model()
        optimizer = build_optimizer(model, small_config(opt="sgd", lr_head=0.5, weight_decay=0.1))
        assert isinstance(optimizer, torch.optim.SGD)
        weight = model.head.fc1.weight
        expected = weight.detach().clone()
        for _ in range(3):
            weight.grad = torch.ones_like(weight)
            optimizer.step()
            expected -= 0.5 * (1 + 0.1 * expected)
        torch.testing.assert_close(weight.detach(), expected)
        assert not optimizer.state_dict()["state"]

    def test_sgd_of_a_checkpoint_with_momentum_goes_on_as_it_was(self, small_model, small_config):
        """Ours had momentum 0.9 once."""
        config = small_config(opt="sgd")
        models = small_model(), small_model()
        before, after = (build_optimizer(model, config) for model in models)
        for group in before.param_groups:
            group["momentum"] = 0.9

        def step(model, optimizer):
            for parameter in model.parameters():
                parameter.grad = torch.ones_like(parameter)
            optimizer.step()

        step(models[0], before)
        models[1].load_state_dict(models[0].state_dict())
        restore_optimizer(after, copy.deepcopy(before.state_dict()), "x.bin")
        for model, optimizer in zip(models, (before, after), strict=True):
            step(model, optimizer)
        assert torch.equal(models[0].head.fc1.weight, models[1].head.fc1.weight)


def test_averaged_model_follows_the_weights():
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
    average = AveragedModel(model, decay=0.5)
    before = average.module[0].weight.clone()
    with torch.no_grad():
        model[0].weight += 1.0
        model[1].running_mean += 2.0
    average.update(model, step=1000)
    torch.testing.assert_close(average.module[0].weight, before + 0.5)
    torch.testing.assert_close(average.module[1].running_mean, torch.ones(2))
    assert not average.module[0].weight.requires_grad
