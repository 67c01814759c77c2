"""report.html: one file that needs nothing from elsewhere, opened by any browser, with or without a network."""

import html
import json
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
from torch import nn

from kinemesh.body.smpl import PosedBody
from kinemesh.evaluation.evaluate import Evaluation
from kinemesh.evaluation.results import Evaluations, tables
from kinemesh.evaluation.tables import SIDE_TITLES, TITLES, intervals, told_differences
from kinemesh.files.writing import write_text_atomically
from kinemesh.report.charts import histogram, line_chart, sparkline
from kinemesh.report.joints import joint_bars
from kinemesh.report.meshes import STOPS, ClipPictures, picture_clips, worst_clips
from kinemesh.report.style import CSS

_METRICS = (
    "mpjpe",
    "pa_mpjpe",
    "mpve",
    "pa_mpve",
    "accel_error",
    "accel_error_m_s2",
    "jitter_m_s3",
    "joint_angle_error",
)
_OPEN_VIDEOS, _WORST_CLIPS, _FRAMES_A_CLIP, _WORST_ACTIONS = 12, 3, 4, 4


class Evaluated(NamedTuple):
    """What a report is about: a model, the body that it is shown by, and where it comes from."""

    model: nn.Module
    body: PosedBody
    faces: np.ndarray  # (N, 3) int
    checkpoint: Path
    config_file: str
    selected_on: str  # the split by which the checkpoint was chosen


def write_report(folder: Path, evaluations: Evaluations, loaders: dict[str, object], evaluated: Evaluated) -> Path:
    """Write `report.html` into `folder` and return its path.

    `evaluations` are detailed, the first of each dataset with rows of frame errors; `loaders` gave those. Training
    curves come from `metrics.jsonl` beside the checkpoint, where there is one. Raises UserError if nothing can be
    written.
    """
    checkpoint = evaluated.checkpoint
    facts = {
        "checkpoint": str(checkpoint),
        "config": evaluated.config_file,
        "checkpoint selected on": evaluated.selected_on,
    }
    parts = [f"<h1>Evaluation of {_text(checkpoint.name)}</h1>", _definitions(facts)]
    for dataset, by_protocol in evaluations.items():
        loader, first = loaders[dataset], next(iter(by_protocol.values()))
        parts += [
            f"<h2>{_text(f'{loader.split.title} format ({dataset})')}</h2>",
            _headline(list(by_protocol.values())),
            _pair(_joints(first), _histogram(first)),
            _videos(first, loader.split),
            _worst(first, loader, evaluated),
        ]
    parts.append(_training(Path(checkpoint).parent / "metrics.jsonl"))
    title = f"Evaluation of {_text(checkpoint.name)}"
    page = (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{CSS}</style></head>'
        f"<body><main>{''.join(parts)}</main></body></html>\n"
    )
    path = folder / "report.html"
    write_text_atomically(path, page)
    return path


def _headline(evaluations: list[Evaluation]) -> str:
    shown = [metric for metric in _METRICS if metric in evaluations[0].metrics]
    head = "".join(f"<th>{_text(_with_powers(TITLES[metric]))}</th>" for metric in shown)
    body = ""
    for evaluation in evaluations:
        for side, title in SIDE_TITLES.items():
            if side not in evaluation.sides:
                continue
            found = intervals(evaluation.sides[side], shown)
            cells = "".join(f"<td>{_figure(found.get(metric))}</td>" for metric in shown)
            title = "refined" if side == "model" and "estimate" in evaluation.sides else title
            name = f"{evaluation.protocol.name}{f', {title}' if title else ''}"
            note = f"{evaluation.clips.replace('_', ' ')}, flip {evaluation.flip}"
            metrics = evaluation.sides[side].metrics
            body += f"<tr><td>{_text(name)}<small>{_text(note)}</small></td>{cells}"
            body += f"<td>{metrics['frames']:,}<small>{evaluation.coverage:.1%} of the split</small></td></tr>"
        for title, found in told_differences(evaluation, shown):
            cells = "".join(f"<td>{_figure(found.get(metric), '+')}</td>" for metric in shown)
            body += f"<tr><td>{_text(title)}</td>{cells}<td></td></tr>"
    note = (
        "Means over frames in mm, below them 95 % bootstrap intervals over videos; acceleration in mm per frame squared "
        f"and in m/s², jitter in m/s³, at {evaluations[0].fps:g} frames a second."
    )
    return _card(
        "Figures",
        f'<div class="scroll"><table><thead><tr><th>protocol</th>{head}<th>frames</th></tr></thead>'
        f'<tbody>{body}</tbody></table></div><p class="faint">{note}</p>',
    )


def _with_powers(title: str) -> str:
    return title.replace("^2", "²").replace("^3", "³")


def _figure(interval: tuple[float, float, float] | None, sign: str = "") -> str:
    if interval is None:
        return "-"
    mean, low, high = interval
    return f"{mean:{sign}.1f}<small>{low:{sign}.1f} … {high:{sign}.1f}</small>"


def _joints(evaluation: Evaluation) -> str:
    errors = {joint: evaluation.metrics[f"mpjpe/{joint}"] for joint in evaluation.protocol.joint_names}
    return _card(
        "Error by joint",
        joint_bars(errors)
        + f'<p class="faint">Protocol {_text(evaluation.protocol.name)}, mm; the person faces you.</p>',
    )


def _histogram(evaluation: Evaluation) -> str:
    errors = evaluation.rows["mpjpe_mm"]
    note = f"MPJPE of {len(errors):,} frames, mm, protocol {_text(evaluation.protocol.name)}."
    return _card("Frames by error", histogram(errors) + f'<p class="faint">{note}</p>' + _actions(evaluation))


def _actions(evaluation: Evaluation) -> str:
    """The actions with the highest error, where the dataset's file names actions."""
    side = evaluation.sides["model"]
    found = tables(side, evaluation.video_names, evaluation.video_actions).get("by_action", {})
    worst = sorted(found.items(), key=lambda item: -item[1]["mpjpe"])[:_WORST_ACTIONS]
    rows = "".join(
        f"<tr><td>{_text(action)}</td><td>{means['mpjpe']:.1f}</td><td>{means['pa_mpjpe']:.1f}</td>"
        f"<td>{means['frames']:,}</td></tr>"
        for action, means in worst
    )
    head = "<tr><th>worst actions</th><th>MPJPE</th><th>PA-MPJPE</th><th>frames</th></tr>"
    return f"<table>{head}{rows}</table>" if rows else ""


def _videos(evaluation: Evaluation, split) -> str:
    """Each video's error over time, the worst first."""
    rows, errors = evaluation.rows["row"], evaluation.rows["mpjpe_mm"]
    video = split.video_of(rows)
    _, frame = split.locate(rows)
    found = []
    for number in np.unique(video):
        chosen = video == number
        found.append((float(errors[chosen].mean()), number, frame[chosen], errors[chosen]))
    found.sort(key=lambda item: -item[0])
    top = max(float(np.percentile(errors, 99.5)), 1e-6)
    figures = [
        f'<figure>{sparkline(frames, values, top)}<figcaption title="{_text(split.video_names[number])}">'
        f"<b>{mean:.0f} mm</b> {_text(split.video_names[number])}</figcaption></figure>"
        for mean, number, frames, values in found
    ]
    body = f'<div class="videos">{"".join(figures[:_OPEN_VIDEOS])}</div>'
    if len(figures) > _OPEN_VIDEOS:
        more = "".join(figures[_OPEN_VIDEOS:])
        body += f'<details><summary>{len(figures) - _OPEN_VIDEOS} more videos</summary><div class="videos">{more}</div></details>'
    note = f"MPJPE, mm, over each video's frames; the upper edge is {top:.0f} mm in all of them."
    return _card("Error over time, worst videos first", body + f'<p class="faint">{note}</p>')


def _worst(evaluation: Evaluation, loader, evaluated: Evaluated) -> str:
    counted = loader.counted.cpu().numpy()
    clip_of_row = np.repeat(np.arange(len(counted)), counted.sum(axis=1))
    videos = loader.clip_videos.cpu().numpy()
    clips = worst_clips(clip_of_row, videos, evaluation.rows["mpjpe_mm"], _WORST_CLIPS)
    pictured, top = picture_clips(
        clips, loader, evaluated.model, evaluated.body, evaluated.faces, evaluation, _FRAMES_A_CLIP
    )
    stops = ", ".join(f"rgb({', '.join(str(round(255 * part)) for part in color)})" for color in STOPS)
    scale = (
        f'<div class="scale">0<span style="background:linear-gradient(90deg, {stops})"></span>{top:.0f} mm or more: '
        "error of a vertex. Left of each pair the prediction, right (green) ground truth.</div>"
    )
    return _card("Worst clips, one a video", scale + "".join(map(_clip, pictured)))


def _clip(clip: ClipPictures) -> str:
    frames = "".join(
        f'<figure class="frame"><div><img alt="prediction" src="{pred}"><img alt="ground truth" src="{target}"></div>'
        f"<figcaption>frame {frame} · <b>{error:.0f} mm</b></figcaption></figure>"
        for frame, error, (pred, target) in zip(clip.frames, clip.errors_mm, clip.pictures, strict=True)
    )
    return f'<h3 style="margin-top:18px">{_text(clip.video)}</h3><div class="frames">{frames}</div>'


def _training(path: Path) -> str:
    """Curves of the run that wrote the checkpoint; nothing where its folder does not say."""
    records = read_records(path)
    charts = []
    logged = dict.fromkeys(key for record in records for key in record)
    for title, what in (("MPJPE, mm", "mpjpe"), ("Loss", "loss")):
        keys = [key for key in logged if re.fullmatch(rf"(train|test|val)_{what}(_\w+)?", key)]
        series = {}
        for key in keys:
            points = [(record["epoch"], record[key]) for record in records if _is_number(record.get(key))]
            if points:
                series[key] = tuple(zip(*points, strict=True))
        if series:
            charts.append(_card(title, line_chart(series)))
    if not charts:
        return ""
    note = "train_mpjpe is over 17 joints, the others over 14."
    return f'<h2>Training</h2><div class="pair">{"".join(charts)}</div><p class="faint">{note} From {_text(path)}.</p>'


def read_records(path: Path) -> list[dict]:
    """The lines of a `metrics.jsonl`; what is no record, such as a line cut short, is left out."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    records = []
    for line in lines:
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and _is_number(record.get("epoch")):
            records.append(record)
    return records


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))


def _definitions(facts: dict[str, str]) -> str:
    return f"<dl>{''.join(f'<dt>{_text(key)}</dt><dd>{_text(value)}</dd>' for key, value in facts.items())}</dl>"


def _card(title: str, body: str) -> str:
    return f'<section class="card"><h3>{_text(title)}</h3>{body}</section>'


def _pair(first: str, second: str) -> str:
    return f'<div class="pair">{first}{second}</div>'


def _text(value: object) -> str:
    """Text of files as text of the page, never as markup."""
    return html.escape(str(value), quote=True)
