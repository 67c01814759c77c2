"""Charts as inline SVG, their colours from the style sheet."""

import html
from collections.abc import Sequence

import numpy as np

from kinemesh.report.style import SERIES_COLORS, svg

_MOST_POINTS = 160  # of a curve: more would not be seen
_WIDTH, _HEIGHT = 480, 230  # of a chart
_SPARK_WIDTH, _SPARK_HEIGHT = 240, 64


def sparkline(frames: np.ndarray, errors_mm: np.ndarray, top_mm: float) -> str:
    """One video's error over time; a gap in the frames is a gap in the curve. `top_mm` is at the upper edge."""
    width, height = _SPARK_WIDTH, _SPARK_HEIGHT
    order = np.argsort(frames, kind="stable")
    frames, errors_mm = _highest_of_bins(frames[order], errors_mm[order])
    span = max(int(frames[-1] - frames[0]), 1)
    x = (frames - frames[0]) / span * width
    y = height - np.clip(errors_mm / top_mm, 0, 1) * (height - 4) - 2
    step = np.median(np.diff(frames)) if len(frames) > 1 else 1
    runs = np.split(np.arange(len(frames)), np.flatnonzero(np.diff(frames) > 2 * max(step, 1)) + 1)
    curves = "".join(f'<polyline class="curve" points="{_points(x[run], y[run])}"/>' for run in runs)
    return svg(width, height, f'<line class="axis" x1="0" x2="{width}" y1="{height - 1}" y2="{height - 1}"/>{curves}')


def histogram(errors_mm: np.ndarray) -> str:
    """How many frames have which error, with median and 95th percentile; the last bar holds all that is larger."""
    median, high = np.percentile(errors_mm, [50, 95])
    top = _round_up(max(high * 1.5, 1e-3))
    counts, edges = np.histogram(np.minimum(errors_mm, top * (1 - 1e-9)), bins=30, range=(0, top))
    left, bottom, right, upper = 8, _HEIGHT - 26, _WIDTH - 8, 30
    scale = (right - left) / top
    bars = "".join(
        f'<rect class="bar" x="{left + edge * scale + 1:.1f}" y="{bottom - tall:.1f}" '
        f'width="{top / 30 * scale - 2:.1f}" height="{tall:.1f}" rx="1.5"/>'
        for edge, count in zip(edges, counts, strict=False)
        if (tall := (bottom - upper) * count / counts.max()) > 0
    )
    marks = ""
    for place, (value, name) in enumerate(((median, "median"), (high, "95 %"))):
        x = left + value * scale
        marks += (
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{upper - 10}" y2="{bottom}" stroke="currentColor" opacity="0.45"/>'
        )
        anchor = "end" if place == 0 else "start"
        marks += f'<text class="strong" x="{x:.1f}" y="{upper - 15}" text-anchor="{anchor}">{name} {value:.0f}</text>'
    ticks = "".join(
        f'<text x="{left + top * share * scale:.1f}" y="{_HEIGHT - 8}" text-anchor="{anchor}">{top * share:g}{unit}</text>'
        for share, anchor, unit in ((0, "start", ""), (0.5, "middle", ""), (1, "end", " mm or more"))
    )
    axis = f'<line class="axis" x1="{left}" x2="{right}" y1="{bottom}" y2="{bottom}"/>'
    return svg(_WIDTH, _HEIGHT, bars + axis + marks + ticks)


def line_chart(series: dict[str, tuple[Sequence[float], Sequence[float]]]) -> str:
    """Curves over epochs, each (epochs, values), with a legend below."""
    values = np.concatenate([np.asarray(y, dtype=float) for _, y in series.values()])
    epochs = np.concatenate([np.asarray(x, dtype=float) for x, _ in series.values()])
    low, high = float(values.min()), float(values.max())
    margin = 0.08 * (high - low) or 0.1 * abs(high) or 1.0
    low, high = low - margin, high + margin
    first, last = float(epochs.min()), float(max(epochs.max(), epochs.min() + 1))
    left, bottom, right, upper = 52, _HEIGHT - 26, _WIDTH - 12, 10

    def place(x, y):
        across = left + (np.asarray(x, float) - first) / (last - first) * (right - left)
        return across, bottom - (np.asarray(y, float) - low) / (high - low) * (bottom - upper)

    grid = ""
    for value in np.linspace(low + margin, high - margin, 4):
        y = float(place(first, value)[1])
        grid += f'<line class="axis" x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>'
        grid += f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.4g}</text>'
    for epoch, anchor in ((first, "start"), (last, "end")):
        grid += f'<text x="{float(place(epoch, low)[0]):.1f}" y="{_HEIGHT - 8}" text-anchor="{anchor}">epoch {epoch:.0f}</text>'
    curves = legend = ""
    for number, (name, (x, y)) in enumerate(series.items()):
        color = SERIES_COLORS[number % len(SERIES_COLORS)]
        across, down = place(x, y)
        dots = "" if len(across) > 30 else "".join(
            f'<circle cx="{a:.1f}" cy="{d:.1f}" r="2.6" fill="{color}"/>' for a, d in zip(across, down, strict=True)
        )  # fmt: skip
        curves += f'<polyline fill="none" stroke="{color}" stroke-width="1.8" points="{_points(across, down)}"/>{dots}'
        legend += f'<span><i style="background:{color}"></i>{html.escape(name)}</span>'
    return svg(_WIDTH, _HEIGHT, grid + curves) + f'<div class="legend">{legend}</div>'


def _highest_of_bins(frames: np.ndarray, errors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """At most so many points, each the highest error around: a peak must not be lost."""
    if len(frames) <= _MOST_POINTS:
        return frames, errors
    starts = np.linspace(0, len(frames), _MOST_POINTS, endpoint=False).astype(int)
    return frames[starts], np.maximum.reduceat(errors, starts)


def _points(x: np.ndarray, y: np.ndarray) -> str:
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))


def _round_up(value: float) -> float:
    """The next of 1, 1.5, 2, 3, 4, 6, 8 times a power of ten."""
    power = 10.0 ** np.floor(np.log10(value))
    return float(next(step * power for step in (1, 1.5, 2, 3, 4, 6, 8, 10) if step * power >= value * (1 - 1e-9)))
