"""Scores a run's model: in every epoch of training, after it, and for `--evaluate`."""

import logging
from pathlib import Path

import numpy as np
import torch
from torch import nn

from kinemesh.body.skeleton import SMPL_JOINT_NAMES
from kinemesh.data.clips import repeats
from kinemesh.data.split import Split
from kinemesh.evaluation.evaluate import (
    BODIES,
    ERRORS,
    Evaluation,
    EvaluationOptions,
    evaluate,
    evaluate_protocols,
    require_finite_figures,
)
from kinemesh.evaluation.fitting import Fitting
from kinemesh.evaluation.results import Evaluations, write_metrics
from kinemesh.evaluation.tables import refinement_record, refinement_warnings, results_table
from kinemesh.evaluation.trust import choose_trust
from kinemesh.files.writing import write_atomically
from kinemesh.machine.stopping import StopRequest
from kinemesh.program.origin import origin_of
from kinemesh.program.setup import Setup
from kinemesh.protocols import DEFAULT
from kinemesh.training.checkpoint import selected_on_of
from kinemesh.training.figures import Validated
from kinemesh.training.finite import training_advice
from kinemesh.training.names import BEST
from kinemesh.training.state import TrainedDataset, Validate

logger = logging.getLogger(__name__)


def validator(setup: Setup, stop: StopRequest) -> Validate:
    """What training calls after a dataset: the released protocol on its validated split.

    Before, a refiner's trust is chosen on the split that selects, where the config asks for it. Raises `UserError` if a
    figure is not finite.
    """

    def validate(model: nn.Module, dataset: TrainedDataset, label: str) -> Validated:
        if dataset.is_selecting and dataset.test.with_estimate and setup.config.chooses_trust:
            percent = choose_trust(model, dataset.test, setup.body.joints, setup.processes)
            model.trust_percent.copy_(torch.tensor(percent))
            logger.info("%s", _words_of_trust(percent))
        evaluation = evaluate(
            model, dataset.test, setup.body.mesh, setup.config, label=label,
            options=EvaluationOptions(stop=stop, processes=setup.processes),
        )[DEFAULT]  # fmt: skip
        require_finite_figures(label, evaluation, training_advice(setup.options.folder))
        results = [(dataset.name, evaluation)]
        is_refiner = "estimate" in evaluation.sides
        return Validated.of(
            evaluation.metrics,
            evaluation.losses,
            refinement=refinement_record(evaluation),
            table=results_table(results) if is_refiner else "",
            warnings=refinement_warnings(results),
        )

    return validate


def _words_of_trust(percent: list[int]) -> str:
    if not any(percent):
        return "trust: the refined bodies are not surely better on held-out videos, output is the input"
    usual = max(set(percent), key=percent.count)
    others = ", ".join(f"{name} {own}" for name, own in zip(SMPL_JOINT_NAMES, percent, strict=True) if own != usual)
    return f"trust: {usual} % of the correction" + (f", but {others}" if others else "")


def evaluate_all(setup: Setup, keep_rows: str = "", stop: StopRequest | None = None) -> Evaluations:
    """Score the model on every test split that was loaded, under every protocol asked for.

    Raises `UserError` if a figure is not finite.
    """
    are_lifted = setup.options.kind == "regressor"
    is_fitted = setup.options.fit == "keypoints"
    options = EvaluationOptions(
        constant=setup.constant,
        detailed=True,
        fitting=Fitting.of(setup.body.assets, setup.device, are_lifted=are_lifted) if is_fitted else None,
        keep_rows=keep_rows,
        stop=stop,
        processes=setup.processes,
    )
    evaluations = {
        dataset.name: evaluate_protocols(
            setup.model, dataset.tests, setup.body.mesh, setup.config, label=f"{dataset.name} test",
            protocols=setup.protocols, options=options,
        )
        for dataset in setup.datasets
        if dataset.tests
    }  # fmt: skip
    for name, by_protocol in evaluations.items():
        for evaluation in by_protocol.values():
            require_finite_figures(f"{name} test", evaluation, "Give the checkpoint of an earlier epoch")
    return evaluations


def evaluate_checkpoint(setup: Setup) -> tuple[Evaluations, str]:
    """What `--evaluate` names scores, and the split it was selected on; writes predictions and report where asked."""
    options, content = setup.options, setup.checkpoint.content
    path = options.evaluate
    logger.info("%s: epoch %s, best test mpjpe %s", path, content.get("epoch", "?"), content.get("best_jpe", "?"))
    keep_rows = BODIES if options.predictions_out else ERRORS if options.report else ""
    evaluations = evaluate_all(setup, keep_rows)
    selection_split = selected_on_of(content)
    if not setup.processes.is_main:
        return evaluations, selection_split
    firsts = {name: next(iter(by_protocol.values())) for name, by_protocol in evaluations.items()}
    loaders = {dataset.name: dataset.tests[firsts[dataset.name].clips] for dataset in setup.datasets if dataset.tests}
    if options.predictions_out:
        write_predictions(options.predictions_out, firsts, {name: loader.split for name, loader in loaders.items()})
        logger.info("predictions written to %s", options.predictions_out)
    if options.report:
        from kinemesh.report.page import Evaluated, write_report  # loads the image library, which only a page needs

        body = setup.body
        evaluated = Evaluated(
            setup.model,
            body.mesh,
            body.assets.faces,
            path,
            config_file=str(options.config),
            selected_on=selection_split,
        )
        page = write_report(options.report, evaluations, loaders, evaluated)
        logger.info("report written to %s", page)
    return evaluations, selection_split


def write_predictions(path: Path, evaluations: dict[str, Evaluation], splits: dict[str, Split]) -> None:
    """One row a scored frame of all datasets, `dataset`, `video` and `frame` saying which (contract, section 8).

    A frame that was scored more than once, as in a short video stretched over a clip, has a row each time, numbered
    by `repeat` from 0.
    """
    tables = []
    for name, evaluation in evaluations.items():
        rows = dict(evaluation.rows)
        row = rows.pop("row")
        video, frame = splits[name].locate(row)
        count = len(row)
        named = {"dataset": np.full(count, name), "video": video, "frame": frame, "repeat": repeats(row)}
        tables.append(named | {"fps": np.full(count, splits[name].fps), **rows})
    merged = {key: np.concatenate([table[key] for table in tables]) for key in tables[0]}
    write_atomically(path, lambda file: np.savez(file, **merged))


def tell(setup: Setup, evaluations: Evaluations, selection_split: str) -> None:
    """Results on the console and, where asked for, in a file."""
    options = setup.options
    results = [(name, found) for name, by_protocol in evaluations.items() for found in by_protocol.values()]
    if results:
        logger.info("checkpoint selected on: %s\n%s", selection_split, results_table(results))
    for warning in refinement_warnings(results):
        logger.warning("%s", warning)
    if options.metrics_out:
        checkpoint = options.evaluate or options.folder / BEST
        meta = {"config_file": str(options.config), "checkpoint": str(checkpoint), "config": setup.config.to_dict()}
        write_metrics(options.metrics_out, meta | origin_of(setup), evaluations, selection_split)
        logger.info("metrics written to %s", options.metrics_out)
