import torch

from kinemesh.body.mirror import mirror_some
from kinemesh.data.clips import cut_clips
from kinemesh.data.loader import ClipLoader
from kinemesh.files.checkpoints import load_checkpoint
from kinemesh.machine.seeds import set_step_seed
from kinemesh.training.loop import training_losses
from tests.runs import logged


def test_loss_falls_when_one_batch_is_over_fitted(dataset, small_model, small_config, body):
    # Without loss_norm, which keeps a floor: it counts the size of the pose itself.
    config = small_config(dim_feat=32, dim_rep=32, hidden_dim=64, lambda_norm=0)
    model = small_model(dim_feat=32, dim_rep=32, hidden_dim=64).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    batch = next(dataset.train.batches())
    position_losses = []
    for _ in range(300):
        total, logged, _ = training_losses(model, batch, body.joints, config)
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        position_losses.append(logged[1].item())
    assert position_losses[-1] < 0.4 * position_losses[0]


def test_flip_mirrors_whole_clips_of_input_and_target(dataset):
    batch = dataset.train.gather(torch.arange(12))
    set_step_seed(0, 1)
    mixed = mirror_some(batch)
    changed = (mixed.inputs.keypoints != batch.inputs.keypoints).flatten(1).any(dim=1)
    turned = (mixed.target.rotations != batch.target.rotations).flatten(1).any(dim=1)
    assert changed.any()
    assert not changed.all()
    assert torch.equal(changed, turned)


def test_unused_pose_head_is_not_decayed(run):
    state = run(epochs=2, weight_decay=0.5)
    assert state.model.backbone.head.weight.grad is None
    assert not state.optimizer.state.get(state.model.backbone.head.weight)


def test_files_of_a_run(run, tmp_path):
    run(epochs=2, checkpoint_frequency=2)
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names == {"latest_epoch.bin", "best_epoch.bin", "epoch_1.bin", "metrics.jsonl", "logs"}
    content = load_checkpoint(tmp_path / "run" / "latest_epoch.bin")
    assert content["epoch"] == 2
    # The rates of the epoch that comes next, as the released code stores them after its scheduler's step.
    assert content["lr"] == [1e-3 * 0.9**2, 1e-3 * 0.9**2]
    assert [group["lr"] for group in content["optimizer"]["param_groups"]] == content["lr"]
    assert [line["lr"] for line in logged(tmp_path / "run")] == [[1e-3, 1e-3], [1e-3 * 0.9, 1e-3 * 0.9]]
    assert isinstance(content["best_jpe"], float)
    # Plain tensors and numbers: the strictest reader takes it without a word.
    torch.load(tmp_path / "run" / "latest_epoch.bin", weights_only=True)


def test_grad_accumulation_of_equal_batches_equals_one_large_batch(
    dataset, small_model, small_config, body, small_dataset
):
    """Batch norm apart, which is why the comparison freezes it."""
    clips = cut_clips(small_dataset.train.video_lengths, small_dataset.test.video_lengths, 8, 4, limit_clips=12)[0]
    gradients = []
    for sizes in ([12], [4, 4, 4]):
        model = small_model().train()
        model.head.bn1.eval()
        model.head.bn2.eval()
        first = 0
        for size in sizes:
            loader = ClipLoader(small_dataset.train, clips, batch_size=12)
            batch = loader.gather(torch.arange(first, first + size))
            (training_losses(model, batch, body.joints, small_config())[0] * size / 12).backward()
            first += size
        gradients.append(model.head.head_pose.weight.grad.clone())
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-3, atol=1e-4)


def test_best_is_strictly_lower(run, tmp_path):
    state = run(epochs=1)
    state.best_jpe = 0.0
    (tmp_path / "run" / "best_epoch.bin").unlink()
    run(state=state, epochs=2)
    assert not (tmp_path / "run" / "best_epoch.bin").exists()
    assert load_checkpoint(tmp_path / "run" / "latest_epoch.bin")["best_jpe"] == 0.0
