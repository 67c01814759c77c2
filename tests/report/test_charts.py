"""Charts: what they show is where the numbers say."""

import re

import numpy as np
import pytest

from kinemesh.body.skeleton import H36M_JOINT_NAMES, SMPL_JOINT_NAMES
from kinemesh.report.charts import histogram, line_chart, sparkline
from kinemesh.report.joints import joint_bars
from kinemesh.report.meshes import STOPS, colors_of, worst_clips


def curves(svg: str) -> list[np.ndarray]:
    return [
        np.array([pair.split(",") for pair in points.split()], dtype=float)
        for points in re.findall(r'points="([^"]+)"', svg)
    ]


def test_sparkline_keeps_the_peak_and_breaks_at_a_gap():
    frames = np.concatenate([np.arange(500), np.arange(800, 1000)])
    errors = np.full(700, 10.0)
    errors[333] = 100.0
    found = curves(sparkline(frames, errors, top_mm=100.0))
    assert len(found) == 2
    assert found[0][:, 1].min() == pytest.approx(2, abs=0.1)  # the peak, at the upper edge
    assert found[1][0, 0] == pytest.approx(800 / 999 * 240, abs=2)
    assert sum(map(len, found)) <= 160


def test_sparkline_of_one_frame():
    assert len(curves(sparkline(np.array([4]), np.array([5.0]), 10.0))[0]) == 1


def test_histogram_counts_every_frame():
    errors = np.array([10.0] * 30 + [50.0] * 10 + [1e4])
    svg = histogram(errors)
    heights = [float(height) for height in re.findall(r'class="bar"[^>]* height="([\d.]+)"', svg)]
    assert len(heights) == 3
    assert heights[0] == pytest.approx(3 * heights[1], rel=0.01)
    assert "median 10<" in svg
    assert "95 % 50<" in svg


def test_line_chart_goes_up_with_the_values_and_escapes_names():
    svg = line_chart({"<a>": ((1, 2, 3), (5.0, 6.0, 9.0)), "b": ((2,), (7.0,))})
    rising, _ = curves(svg)
    assert (np.diff(rising[:, 1]) < 0).all()
    assert "<a>" not in svg
    assert "&lt;a&gt;" in svg


@pytest.mark.parametrize("names", [H36M_JOINT_NAMES, SMPL_JOINT_NAMES])
def test_bars_are_as_long_as_the_errors_and_do_not_overlap(names):
    errors = {name: 10.0 + number for number, name in enumerate(names)} | {names[0]: 0.0}
    svg = joint_bars(errors)
    widths = re.findall(r'width="([\d.]+)" height="8" rx="3" fill="rgb', svg)
    labels = re.findall(r'<text x="([\d.]+)" y="([\d.-]+)"[^>]*><tspan[^>]*>([\d.]+) mm</tspan> ([^<]+)</text>', svg)
    assert len(labels) == len(names) - 1  # none for the root
    assert all(float(value) == round(errors[name.replace(" ", "_")]) for *_, value, name in labels)
    assert max(map(float, widths)) == pytest.approx(130)
    for column in {x for x, *_ in labels}:
        rows = sorted(float(y) for x, y, *_ in labels if x == column)
        assert min(np.diff(rows)) >= 25
        assert rows[0] > 0
        assert rows[-1] < 410


def test_colours_run_from_first_to_last_stop_and_worst_clips_are_of_different_videos():
    colors = colors_of(np.array([0.0, 50.0, 100.0, 900.0]), 100.0)
    np.testing.assert_allclose(colors[[0, 2, 3]], STOPS[[0, -1, -1]])
    assert (colors[1] > 0).all()
    errors = np.array([5.0, 5.0, 90.0, 90.0, 80.0, 80.0, 7.0])
    clips = np.array([0, 0, 1, 1, 2, 2, 4])  # clip 3 has no scored frame
    assert worst_clips(clips, np.array([0, 1, 1, 2, 3]), errors, 3) == [1, 4, 0]
