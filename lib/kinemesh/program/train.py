"""`train_mesh.py` and `train_mesh_refine.py`, top to bottom: set up, then check, train or evaluate, then say what came out."""

import contextlib
import logging

import torch

from kinemesh.config import Config
from kinemesh.evaluation.results import Evaluations, metrics_content
from kinemesh.machine.device import choose_device, flushed_denormals, keep_freed_memory, make_deterministic
from kinemesh.machine.log import add_log_file
from kinemesh.machine.processes import join_model, joined
from kinemesh.machine.run_lock import locked_folder
from kinemesh.machine.stopping import Stopped, StoppedAtOnce, StopRequest
from kinemesh.model.opening import open_checkpoint
from kinemesh.program.check.findings import require_startable
from kinemesh.program.evaluate import evaluate_all, evaluate_checkpoint, tell, validator
from kinemesh.program.options import RunOptions
from kinemesh.program.origin import command_line, origin_of, say_what_changed
from kinemesh.program.setup import Setup, set_up
from kinemesh.protocols import choose_protocols
from kinemesh.training.checkpoint import prepare_folder, require_same_selection, restore_progress
from kinemesh.training.loop import train
from kinemesh.training.names import BEST, LATEST, LOG
from kinemesh.training.state import Run, TrainState, selected_on

logger = logging.getLogger(__name__)


def run(options: RunOptions, config: Config) -> dict[str, dict]:
    """Train, evaluate with `--evaluate`, or only check with `--check`.

    Returns the figures of the metrics file by dataset, in the main process. Raises `UserError` for whatever the user has to fix, and `Stopped` where a signal ended training.
    """
    setup = Setup(options, config, choose_protocols(options.protocols))
    if config.deterministic:
        make_deterministic()
    if options.is_check:
        require_startable(set_up(setup))
        return {}
    setup.device = choose_device(options.device)
    keep_freed_memory(setup.device)
    with flushed_denormals(setup.device), joined(setup.device) as setup.processes:
        if options.is_training:
            # From before the checkpoint is read until the last one is written: no other run may come between.
            with locked_folder(options.folder) if setup.processes.is_main else contextlib.nullcontext():
                set_up(setup)
                evaluations, selection_split = train_model(setup)
        else:
            set_up(setup)
            evaluations, selection_split = evaluate_checkpoint(setup)
    if not setup.processes.is_main:
        return {}
    tell(setup, evaluations, selection_split)
    return metrics_content(evaluations, selection_split)


def train_model(setup: Setup) -> tuple[Evaluations, str]:
    """What `best_epoch.bin` scores after training, and the split it was selected on."""
    options, config, state, folder = setup.options, setup.config, setup.state, setup.options.folder
    selection_split = selected_on(setup.datasets)
    state.joined = join_model(setup.model, setup.processes, setup.device)
    stop = StopRequest(setup.processes.largest)
    run = Run(
        config, setup.body, validator(setup, stop), options.kind, folder, options.seed, options.print_freq,
        setup.device, stop, origin_of(setup), setup.processes,
    )  # fmt: skip
    if setup.checkpoint is not None:
        path, content = setup.checkpoint.path, setup.checkpoint.content
        say_what_changed(content.get("origin"), run.origin, path)
        require_same_selection(content, selection_split, path)
        restore_progress(state, content, path, setup.datasets, run)
    if setup.processes.is_main:
        prepare_folder(folder, options.config, state.epoch)
        add_log_file(folder / LOG)
    _say_what_is_trained(setup, selection_split)
    with stop.listening():
        try:
            train(state, setup.datasets, run)
            setup.processes.barrier()  # the main process may still be writing
            best = folder / BEST
            if not best.is_file():
                return {}, selection_split
            open_checkpoint(best, config, options.kind).fill(setup.model)
            logger.info("finished; what %s scores, as --evaluate does:", best)
            return evaluate_all(setup, stop=stop), selection_split
        except StoppedAtOnce:
            raise
        except Stopped as stopped:
            raise Stopped(stop.signal_number, _how_to_go_on(setup, state)) from stopped


def _say_what_is_trained(setup: Setup, selection_split: str) -> None:
    parameters = sum(parameter.numel() for parameter in setup.model.parameters() if parameter.requires_grad)
    count = setup.processes.count
    logger.info(
        "training %.2f M parameters on %s, %s of %d threads, into %s",
        parameters / 1e6, setup.device, "1 process" if count == 1 else f"{count} processes",
        torch.get_num_threads(), setup.options.folder,
    )  # fmt: skip
    logger.info(
        "best_epoch.bin is chosen on the %s%s; train_mpve is sampled every %d steps",
        selection_split, ", as released (val_split: 0)" if selection_split.endswith("test split") else "", setup.options.print_freq,
    )  # fmt: skip


def _how_to_go_on(setup: Setup, state: TrainState) -> str:
    folder, epochs = setup.options.folder, setup.config.epochs
    if state.epoch >= epochs:
        return f"stopped after the last epoch; score it with --evaluate {folder / BEST}"
    place = f"{state.epoch} of {epochs} epochs are done"
    if state.progress is not None:
        place += f", the next is begun ({state.step} optimizer steps in all)"
    again = command_line(setup.options)
    return f"stopped: {place}, {folder / LATEST} holds the place; the same command goes on from there: {again}"
