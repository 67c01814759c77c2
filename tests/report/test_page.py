"""The report: complete, self-contained, and text of files never becomes markup."""

import base64
import dataclasses
import html.parser
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from kinemesh.data.clips import cut_clips
from kinemesh.data.loader import ClipLoader
from kinemesh.evaluation.evaluate import ERRORS, EvaluationOptions, evaluate_protocols
from kinemesh.protocols import PROTOCOLS
from kinemesh.report.page import Evaluated, read_records, write_report

EVIL = "<script>alert('x')</script>&\"walk"


@pytest.fixture(scope="module")
def page(small_dataset, posed_body, assets, small_config, small_model, tmp_path_factory):
    """The report of an untrained model on three clips, two protocols, one video with markup for a name."""
    folder = tmp_path_factory.mktemp("report")
    split = small_dataset.test
    split = dataclasses.replace(split, video_names=[EVIL, *split.video_names[1:]])
    lengths = small_dataset.train.video_lengths, split.video_lengths
    config, model = small_config(), small_model()
    loaders = {
        rule: ClipLoader(split, cut_clips(*lengths, 8, 4, eval_clips=rule, limit_clips=3)[1], batch_size=8)
        for rule in ("released", "all_frames")
    }
    protocols = [PROTOCOLS["motionbert"], PROTOCOLS["smpl24"]]
    found = evaluate_protocols(
        model,
        loaders,
        posed_body,
        config,
        protocols=protocols,
        label="test",
        options=EvaluationOptions(detailed=True, keep_rows=ERRORS),
    )
    run = folder / "run"
    run.mkdir()
    lines = [
        {"epoch": epoch, "train_mpjpe": 90.0 - epoch, "test_mpjpe_pw3d": 100.0 - epoch, "train_loss": 3.0}
        for epoch in (1, 2, 3)
    ]
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"epoch": 4, "tr')
    evaluated = Evaluated(model, posed_body, assets.faces, run / "<b>best.bin", "x.yaml", "pw3d test split")
    path = write_report(folder / "out", {"pw3d": found}, {"pw3d": loaders["released"]}, evaluated)
    return path.read_text(encoding="utf-8"), found


class _Balance(html.parser.HTMLParser):
    """Fails where a tag is closed that was not the last one opened."""

    VOID = frozenset({"meta", "img", "br", "line", "rect", "circle", "polyline"})

    def __init__(self):
        super().__init__()
        self.open: list[str] = []
        self.scripts = 0
        self.addresses: list[str] = []

    def handle_starttag(self, tag, attributes):
        self.scripts += tag == "script"
        self.addresses += [value for name, value in attributes if name in ("src", "href", "xlink:href", "data")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        assert tag in self.VOID
        self.handle_starttag(tag, attributes)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_is_well_formed_and_needs_nothing_else(page):
    parser = _Balance()
    parser.feed(page[0])
    assert parser.open == []
    assert parser.scripts == 0
    assert parser.addresses
    assert all(address.startswith("data:image/png;base64,") for address in parser.addresses)
    assert "http" not in page[0]
    assert "@import" not in page[0]


def test_text_of_files_is_escaped(page):
    assert "<script>" not in page[0]
    assert "&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt;&amp;&quot;walk" in page[0]
    assert "Evaluation of &lt;b&gt;best.bin" in page[0]


def test_holds_the_figures_and_what_they_are_from(page):
    text, found = page
    for evaluation in found.values():
        assert f">{evaluation.metrics['mpjpe']:.1f}<small>" in text
        assert f"{evaluation.metrics['frames']}<small>{evaluation.coverage:.1%} of the split" in text
    assert "pw3d test split" in text
    assert "released, flip released" in text
    assert "all frames, flip rotations" in text
    for joint in ("right wrist", "head top"):
        assert f"</tspan> {joint}</text>" in text
    for title in ("Error over time", "Frames by error", "Worst clips", "train_mpjpe", "worst actions"):
        assert title in text
    assert "epoch 3<" in text


def test_pictures_show_a_body_on_a_clear_background(page):
    pictures = re.findall(r'src="data:image/png;base64,([^"]+)"', page[0])
    assert len(pictures) == 2 * 2 * 4  # two videos: the worst clip of each, four frames, two sides
    for picture in pictures:
        image = np.asarray(Image.open(io.BytesIO(base64.b64decode(picture))))
        assert image.shape == (300, 220, 4)
        assert (image[0, :, 3] == 0).all()
        assert 0.02 < (image[..., 3] == 255).mean() < 0.9


def test_records_that_are_none_are_left_out(tmp_path):
    assert read_records(tmp_path / "none.jsonl") == []
    path = tmp_path / "m.jsonl"
    path.write_text('{"epoch": 1}\n[]\n{"epoch": null}\n{"epoch": 2, "x": NaN}\nnot json\n')
    assert [record["epoch"] for record in read_records(path)] == [1, 2]
