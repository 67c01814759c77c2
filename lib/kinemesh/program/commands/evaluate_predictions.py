"""Scores files of predicted bodies, of this project or any other system, on the test splits of a config.

    python -m tools.evaluate_predictions --config configs/mesh/MB_ft_pw3d.yaml --predictions ours.npz wham_output.pkl \\
        --protocol motionbert --protocol wham

Files are those of --predictions, this project's and those of docs/estimators.md, or folders of them. Several files are
scored on the frames that all of them predict, and compared video by video.
"""

import logging
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path

from kinemesh.body.assets import load_body_assets
from kinemesh.body.smpl import PosedBody
from kinemesh.config import load_config
from kinemesh.errors import UserError
from kinemesh.estimates.predictions import load_predictions
from kinemesh.evaluation.evaluate import Evaluation, require_finite_figures
from kinemesh.evaluation.fitting import Fitting
from kinemesh.evaluation.paths.facts import PathScorer
from kinemesh.evaluation.results import record
from kinemesh.files.writing import json_text, require_other_file, write_text_atomically
from kinemesh.machine.device import choose_device
from kinemesh.machine.log import set_up_console
from kinemesh.program.commands.compare import comparison_table, file_differences, load_compared, score_files, verdict
from kinemesh.program.flags.parser import add_common_flags, add_fit_flag, command_parser
from kinemesh.protocols import choose_protocols

logger = logging.getLogger(__name__)

SELECTED_ON = "unknown (a file of predictions does not say)"


def run(argv: Sequence[str]) -> None:
    """What the command does. Raises `UserError` for what the user has to fix."""
    parser = command_parser("tools.evaluate_predictions", __doc__)
    add = parser.add_argument
    add("--predictions", nargs="+", required=True, metavar="FILE", help="one or more files or folders")
    add("--config", default="configs/mesh/MB_demo.yaml", metavar="FILE", help="names the datasets (%(default)s)")
    add("--protocol", action="append", default=[], metavar="NAME", dest="protocols", help="repeatable (motionbert)")
    add_common_flags(parser)
    add_fit_flag(parser, "also score the bodies fitted to the dataset's keypoints, see docs/fit.md")
    add("--metrics_out", metavar="FILE", help="write figures, differences and verdicts as JSON")
    arguments = parser.parse_args(argv)

    set_up_console()
    if arguments.metrics_out:
        require_other_file(Path(arguments.metrics_out), (*arguments.predictions, arguments.config))
    protocols = choose_protocols(arguments.protocols)
    config = load_config(arguments.config, arguments.overrides)
    device = choose_device(arguments.device)
    labels = _labels(arguments.predictions)
    load_assets = cache(partial(load_body_assets, config.data_root))
    paths = zip(labels, arguments.predictions, strict=True)
    files = {label: load_predictions(path, load_assets) for label, path in paths}
    datasets = load_compared(config, files)
    assets = load_assets()
    body = PosedBody(assets).to(device)
    fitting = Fitting.of(assets, device) if arguments.fit == "keypoints" else None
    paths = PathScorer(assets)
    content: dict = {
        "meta": {"config": config.to_dict(), "files": dict(zip(labels, arguments.predictions, strict=True))}
    }
    for dataset in datasets:
        name = dataset.source.name
        results = score_files(dataset, files, body, config, protocols, fitting, paths)
        for evaluation in results.values():
            require_finite_figures(name, evaluation, "Its numbers are beyond what can be: give another file")
        content[name] = {protocol: _report(name, evaluation) for protocol, evaluation in results.items()}
    if arguments.metrics_out:
        write_text_atomically(arguments.metrics_out, json_text(content, indent=2) + "\n")


def _report(dataset: str, evaluation: Evaluation) -> dict:
    """Print table and verdicts; the same as plain values."""
    logger.info("%s", comparison_table(dataset, evaluation))
    found: dict = {"files": {label: record(evaluation, SELECTED_ON, label) for label in evaluation.sides}}
    found["differences"] = []
    for pair, difference in file_differences(evaluation).items():
        videos = next(iter(found["files"].values()))["videos"]
        words = verdict(pair, difference, evaluation.protocol, videos)
        logger.info("%s", words)
        found["differences"].append(
            {"of": pair[1], "minus": pair[0], "verdict": words, **{name: list(row) for name, row in difference.items()}}
        )
    logger.info("")
    return found


def _labels(paths: list[str]) -> list[str]:
    """A short name a file: its own, or the whole path where two are called alike."""
    names = [Path(path).name for path in paths]
    if len(set(paths)) < len(paths):
        raise UserError("--predictions: the same file twice. Expected different files.")
    return names if len(set(names)) == len(names) else list(paths)
