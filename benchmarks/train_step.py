"""A training step against the plain one, its parts, and the floor that the backbone's matrix products set.

The plain step loads its batch item by item, poses whole meshes with smplx for predictions and targets, and runs eagerly
in fp32. Both start from the same weights. `--size released` is the released 512-dim config at batch 128.
"""

import statistics
import sys

import torch
from torch.utils.data import DataLoader, SubsetRandomSampler

from benchmarks import setting
from benchmarks.plain import PlainBody, PlainDataset, plain_step
from benchmarks.timing import describe, interleaved_ms, matrix_flops, median_ratio, parser, report, table
from kinemesh.body.assets import BodyAssets
from kinemesh.body.mirror import mirror_some
from kinemesh.config import Config
from kinemesh.data.loader import ClipLoader
from kinemesh.data.split import place_split
from kinemesh.structures import BodyParams
from kinemesh.training.loop import training_losses
from kinemesh.training.optimizer import build_optimizer

# Forward, and twice as much backward.
_PASSES = 3


def main() -> None:
    flags = parser(__doc__)
    flags.add_argument("--size", choices=("small", "released"), default="small")
    flags.add_argument("--batch", type=int, default=0, help="clips a batch (default: the config's)")
    flags.add_argument("--rounds", type=int, default=15)
    flags.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    flags.add_argument("--compile", action="store_true")
    flags.add_argument("--workers", type=int, default=0, help="loader processes of the plain step")
    arguments = flags.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    device = torch.device(arguments.device)
    changes = {"precision": arguments.precision, "compile": arguments.compile}
    if arguments.batch:
        changes["batch_size"] = arguments.batch
    config = setting.open_config(arguments.size, **changes)
    assets, dataset = setting.open_data()
    clips, _ = setting.cut(dataset, config)
    model, body = setting.build(config, assets, device)
    plain_config = setting.open_config(arguments.size, batch_size=config.batch_size)
    plain_model, _ = setting.build(plain_config, assets, device)

    split = place_split(dataset.train, device)
    loader = ClipLoader(split, clips, batch_size=config.batch_size, device=device, training=True)
    own = _OwnStep(model, build_optimizer(model, config), loader, body, config)
    plain = _PlainStep(plain_model, plain_config, dataset, clips, assets, device, arguments.workers)
    times = interleaved_ms({"plain": plain, "ours": own}, device, arguments.rounds)
    parts = interleaved_ms(own.parts(), device, arguments.rounds)

    medians = {name: statistics.median(values) for name, values in (times | parts).items()}
    flops = backbone_flops(config, config.batch_size)
    rate = matrix_flops(device, torch.bfloat16 if arguments.precision == "bf16" else torch.float32)
    floor = 1e3 * flops / rate
    rows = [("", "ms a step", "clips a second", "share of ours")]
    for name in ("plain", "ours"):
        rows.append((name, medians[name], 1e3 * config.batch_size / medians[name], medians[name] / medians["ours"]))
    rows += [(f"- {name}", medians[name], "", medians[name] / medians["ours"]) for name in parts]
    outside = medians["ours"] - medians["backbone"]
    rows.append(("- all but the backbone", outside, "", outside / medians["ours"]))
    rows.append(("floor: the backbone's products", floor, "", floor / medians["ours"]))
    kind = f"{arguments.precision}{', compiled' if arguments.compile else ''}"
    text = (
        f"train step, {arguments.size} model ({config.dim_feat}-dim, {config.depth} layers), {config.batch_size} clips of "
        f"{config.clip_len} frames, {kind}\n{describe(device)}\n\n{table(rows)}\n\n"
        f"ratio plain / ours: {median_ratio(times['plain'], times['ours']):.2f}\n"
        f"matrix products of this machine: {rate / 1e9:.0f} GFLOP/s; the backbone runs at "
        f"{flops / (medians['backbone'] / 1e3) / rate:.0%} of that"
    )
    suffix = f"_{arguments.precision}" * (arguments.precision != "fp32") + "_compiled" * arguments.compile
    report(f"train_step_{arguments.size}_{device.type}{suffix}", text, arguments.keep)


class _OwnStep:
    """One step as `kinemesh.training.step` does it, and its parts alone."""

    def __init__(self, model, optimizer, loader, body, config: Config):
        self.model, self.optimizer, self.loader, self.body, self.config = model, optimizer, loader, body, config
        self.batches = iter(())
        model.train()

    def next_batch(self):
        batch = next(self.batches, None)
        if batch is None:
            self.batches = self.loader.batches(self.loader.training_order(0, 0))
            batch = next(self.batches)
        return batch

    def __call__(self) -> None:
        batch = mirror_some(self.next_batch())
        total, _, _ = training_losses(self.model, batch, self.body.joints, self.config)
        total.backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def parts(self) -> dict:
        batch = self.next_batch()
        with torch.autocast(batch.frames.device.type, torch.bfloat16, enabled=self.config.precision == "bf16"):
            features = self.model.backbone.representation(batch.inputs.keypoints)
        features = features.detach().to(batch.inputs.keypoints.dtype)
        pred = BodyParams(*(part.detach().requires_grad_() for part in self.model.head(features)))
        gradient = torch.randn_like(features)

        def backbone() -> None:
            with torch.autocast(features.device.type, torch.bfloat16, enabled=self.config.precision == "bf16"):
                found = self.model.backbone.representation(batch.inputs.keypoints)
            found.backward(gradient.to(found.dtype))

        def head() -> None:
            inputs = features.detach().requires_grad_()
            rotations, betas = self.model.head(inputs)
            (rotations.sum() + betas.sum()).backward()

        def joints_and_losses() -> None:
            training_losses(lambda _: pred, batch, self.body.joints, self.config)[0].backward()

        return {
            "batch and mirroring": lambda: mirror_some(self.next_batch()),
            "backbone": backbone,
            "head": head,
            "joints and losses": joints_and_losses,
            "optimizer": self.optimizer.step,
        }


class _PlainStep:
    """One step as `benchmarks.plain` does it."""

    def __init__(self, model, config: Config, dataset, clips, assets: BodyAssets, device: torch.device, workers: int):
        self.model, self.config, self.device = model, config, device
        self.body = PlainBody(assets).to(device)
        items = PlainDataset(dataset.train, clips.frames, PlainBody(assets))
        sampler = SubsetRandomSampler(range(len(items)), torch.Generator().manual_seed(0))
        self.loader = DataLoader(items, config.batch_size, sampler=sampler, num_workers=workers, drop_last=True)
        self.batches = iter(())
        self.optimizer = torch.optim.AdamW(
            [
                {"params": model.backbone.parameters(), "lr": config.lr_backbone},
                {"params": model.head.parameters(), "lr": config.lr_head},
            ],
            weight_decay=config.weight_decay,
        )
        model.train()

    def __call__(self) -> None:
        batch = next(self.batches, None)
        if batch is None:
            self.batches = iter(self.loader)
            batch = next(self.batches)
        batch = {name: value.to(self.device) for name, value in batch.items()}
        total, _ = plain_step(self.model, self.body, batch, self.config)
        self.optimizer.zero_grad()
        total.backward()
        self.optimizer.step()


def backbone_flops(config: Config, clips: int) -> float:
    """Floating-point operations of the backbone's matrix products in a training step, 2 for a multiply and add."""
    tokens = clips * config.clip_len * config.num_joints
    dim = config.dim_feat
    linear = 4 * dim * dim + 2 * dim * int(dim * config.mlp_ratio)
    # A block holds a spatial and a temporal layer, and there are two streams.
    attention = 2 * dim * (config.num_joints + config.clip_len)
    layers = 2 * config.depth * (2 * linear + attention)
    return 2.0 * _PASSES * tokens * (layers + dim * config.dim_rep)


if __name__ == "__main__":
    sys.exit(main())
