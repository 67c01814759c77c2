"""Everything before a run's first step, in stages; `--check` is these stages, and nothing after them.

A stage fills in its part of the set-up and yields what it found. A run ends with the first finding that is fatal;
`--check` goes through every stage that can still be gone through, looks closer, and writes nothing.
"""

import dataclasses
import logging
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

from kinemesh.body.assets import SMPL_FILE, load_body_assets
from kinemesh.body.smpl import Body
from kinemesh.config import Config
from kinemesh.data.sources import UsedDataset, sources_of, used_datasets
from kinemesh.data.split import Source, mean_body
from kinemesh.demo.datasets import is_demo_root, make_demo_data
from kinemesh.demo.splits import StandIn
from kinemesh.errors import UserError
from kinemesh.machine.device import choose_device
from kinemesh.machine.processes import Processes
from kinemesh.machine.seeds import set_step_seed
from kinemesh.model.building import build_model
from kinemesh.model.opening import Checkpoint, load_pretrained, open_checkpoint
from kinemesh.program.check import machine
from kinemesh.program.check.findings import Finding, from_error
from kinemesh.program.check.needed_files import NeededFile, file_finding, needed_files
from kinemesh.program.check.values import body_findings, dataset_findings, use_findings
from kinemesh.program.datasets import DatasetOpener, mixed
from kinemesh.program.options import RunOptions
from kinemesh.protocols import Protocol
from kinemesh.structures import BodyParams
from kinemesh.training.checkpoint import restore, say_what_goes_on
from kinemesh.training.names import BEST
from kinemesh.training.optimizer import build_optimizer, choose_trainable
from kinemesh.training.optimizers.average import AveragedModel
from kinemesh.training.state import TrainedDataset, TrainState

logger = logging.getLogger(__name__)


@dataclass
class Setup:
    """The parts of a run; what has no value yet is filled in by the stages."""

    options: RunOptions
    config: Config
    protocols: list[Protocol]
    processes: Processes = field(default_factory=Processes)
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))  # until one is chosen
    sources: list[Source] = field(default_factory=list)  # every dataset of the config
    used: list[UsedDataset] = field(default_factory=list)  # those that the run reads
    files: list[NeededFile] = field(default_factory=list)  # that the run reads, besides its config
    unusable: set[Path] = field(default_factory=set)  # those of them that cannot be read
    checkpoint: Checkpoint | None = None  # what the run starts from; None: a pretrained backbone or the seed
    body: Body | None = None
    model: nn.Module | None = None
    state: TrainState | None = None  # of training
    datasets: list[TrainedDataset] = field(default_factory=list)
    constant: BodyParams | None = None  # with `mean_pose_baseline`, the mean body of the last dataset's training frames

    @property
    def pretrained(self) -> Path | None:
        """The pretrained backbone, where the run starts from one."""
        is_wanted = self.config.finetune and self.options.start is None
        return self.options.pretrained if is_wanted else None

    @property
    def start(self) -> Path | None:
        """What the model's weights come from; None: from the seed."""
        return self.options.start or self.pretrained

    def lacks(self, *read_by: str) -> bool:
        """Whether a file that a stage of these names reads cannot be read."""
        return any(file.path in self.unusable for file in self.files if file.read_by in read_by)


def set_up(setup: Setup) -> list[Finding]:
    """Go through the stages. Raises `UserError` for the first fatal finding, unless the run is a `--check`."""
    findings = []
    for stage in STAGES:
        if not stage.is_possible(setup):
            continue
        try:
            for finding in stage.go_through(setup):
                if finding.is_fatal and not setup.options.is_check:
                    raise UserError(finding.message())
                findings.append(finding)
        except UserError as error:
            if not setup.options.is_check:
                raise
            findings.append(from_error(error, stage.what, stage.where(setup)))
    return findings


def _device(setup: Setup) -> Iterator[Finding]:
    setup.device = choose_device(setup.options.device)
    yield from machine.device_findings(setup.config, setup.device)
    yield Finding("ok", "config", str(setup.options.config), "every key known and in range")


def _files(setup: Setup) -> Iterator[Finding]:
    options = setup.options
    root = Path(setup.config.data_root)
    setup.sources = sources_of(setup.config)
    setup.used = used_datasets(setup.sources, root, is_training=options.is_training)
    setup.files = needed_files(
        root,
        setup.used,
        checkpoint=options.start,
        pretrained=setup.pretrained,
        predictions=options.predictions,
    )
    for file in setup.files:
        finding = file_finding(file)
        if finding.is_fatal:
            setup.unusable.add(file.path)
        yield finding


def _folders(setup: Setup) -> Iterator[Finding]:
    options = setup.options
    if options.is_training:
        yield machine.folder_finding(options.folder, "checkpoint folder", "Give another --checkpoint folder.")
        if options.is_check:  # a run holds the lock itself
            yield from machine.lock_findings(options.folder)
    files = {"--metrics_out": options.metrics_out, "--predictions_out": options.predictions_out}
    inputs = [options.config, *(file.path for file in setup.files)]
    yield from machine.output_findings(files, {"--report": options.report}, inputs)


def _checkpoint(setup: Setup) -> Iterator[Finding]:
    if setup.options.start is not None:
        setup.checkpoint = open_checkpoint(setup.options.start, setup.config, setup.options.kind)
        setup.config = setup.checkpoint.config
    yield from ()


def _body(setup: Setup) -> Iterator[Finding]:
    root, is_check = Path(setup.config.data_root), setup.options.is_check
    if is_demo_root(root) and not is_check:
        with setup.processes.main_first():
            make_demo_data(root)
    is_still_to_make = is_demo_root(root) and not (root / SMPL_FILE).exists()
    assets = StandIn().assets if is_still_to_make else load_body_assets(root)
    setup.body = Body.of(assets, setup.device)
    if is_check:
        yield from body_findings(assets, str(root / SMPL_FILE))


def _model(setup: Setup) -> Iterator[Finding]:
    options, config = setup.options, setup.config
    set_step_seed(options.seed)
    model = build_model(options.kind, config, setup.body.assets)
    if setup.checkpoint is not None:
        setup.checkpoint.fill(model)
    setup.model = model.to(setup.device)
    if options.is_training:
        setup.state = _start_training(setup)
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    total = sum(parameter.numel() for parameter in model.parameters())
    found = f"{total:,} parameters, {trained:,} trained; starts from {setup.start or 'the seed'}"
    yield Finding("ok", "model", _model_place(setup), found)
    if state := setup.state:
        yield machine.space_finding(options.folder, model, config, state.epoch)
        epochs = f"{state.epoch + 1} to {config.epochs}, {state.step:,} steps done before"
        yield Finding("note", "epochs", str(options.config), epochs)


def _model_place(setup: Setup) -> str:
    return str(setup.start or setup.options.config)


def _start_training(setup: Setup) -> TrainState:
    """Optimizer, averaged weights and place, with the pretrained backbone or the checkpoint's in them.

    Raises `UserError` if they do not fit, or there is nothing left to train.
    """
    options, config, model, checkpoint = setup.options, setup.config, setup.model, setup.checkpoint
    is_finetuned = config.finetune
    if setup.pretrained:
        is_finetuned = load_pretrained(model, options.kind, setup.pretrained, with_head=config.finetune_head)
    elif checkpoint is not None:
        is_finetuned &= checkpoint.content.get("config", {}).get("finetune", True)
    # What is stored says whether the backbone is a released one, which inference gives longer windows than its config's.
    setup.config = dataclasses.replace(config, finetune=is_finetuned)
    choose_trainable(model, config.partial_train)
    state = TrainState(model, build_optimizer(model, config), AveragedModel(model, config.ema) if config.ema else None)
    if checkpoint is not None:
        restore(state, checkpoint.content, checkpoint.path)
        say_what_goes_on(state, checkpoint.content, checkpoint.path, config)
    if state.epoch >= config.epochs:
        raise UserError(
            f"{options.start or options.config}: already trained for {state.epoch} of {config.epochs} epochs. Raise "
            f"epochs, give another --checkpoint folder, or evaluate it: python {options.script} --config "
            f"{shlex.quote(str(options.config))} --evaluate {shlex.quote(str(options.folder / BEST))}"
        )
    return state


def _datasets(setup: Setup) -> Iterator[Finding]:
    options, config = setup.options, setup.config
    try:
        opener = DatasetOpener(
            config,
            setup.device,
            with_estimate=options.kind == "refiner",
            predictions_path=options.predictions,
            clip_rules=[protocol.clip_rule(config.eval_clips) for protocol in setup.protocols],
            is_thorough=options.is_check,
            assets=None if setup.body is None else setup.body.assets,
        )
    except UserError as error:
        yield from_error(error, "estimator's bodies", str(options.predictions))
        return
    for used in setup.used:
        if used.path in setup.unusable or (options.is_check and not used.path.exists()):
            continue
        try:
            dataset, trained = opener.open(used)
            machine.require_clip_for_each(setup.processes, trained)
        except UserError as error:
            yield from_error(error, f"{used.source.title} dataset", str(used.path))
            continue
        setup.datasets.append(trained)
        if config.mean_pose_baseline and dataset.train.frame_count:
            setup.constant = mean_body(dataset.train, setup.device)
        if options.is_check:
            kinematics = setup.body.joints if setup.body is not None else None
            yield from dataset_findings(dataset, used.splits, str(used.path), kinematics)
            yield from use_findings(used, trained, config)
    try:
        opener.check_videos([source.name for source in setup.sources])
    except UserError as error:
        yield from_error(error, "estimator's bodies", str(options.predictions))
    setup.datasets = mixed(setup.datasets, setup.sources, config.epochs)


class Stage(NamedTuple):
    """One stage; `what` and `where` name it in the table if it fails as a whole."""

    what: str
    go_through: Callable[[Setup], Iterator[Finding]]
    where: Callable[[Setup], str] = lambda setup: str(setup.options.config)
    is_possible: Callable[[Setup], bool] = lambda _: True


STAGES = (
    Stage("device", _device, lambda setup: setup.options.device),
    Stage("datasets", _files),
    Stage("folders", _folders),
    Stage("model", _checkpoint, _model_place, lambda setup: not setup.lacks("checkpoint")),
    Stage("body model", _body, lambda setup: str(setup.config.data_root), lambda setup: not setup.lacks("body")),
    Stage(
        "model", _model, _model_place,
        lambda setup: setup.body is not None
        and not setup.lacks("checkpoint", "pretrained")
        and (setup.options.start is None or setup.checkpoint is not None),
    ),
    Stage("datasets", _datasets, is_possible=lambda setup: bool(setup.files) and not setup.lacks("predictions")),
)  # fmt: skip
