"""The user's ONNX files: told apart by what they read and answer, run on all people at once, their answers in pixels."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from kinemesh.detect.detector import detections_of, open_detector
from kinemesh.detect.regions import Region
from kinemesh.detect.rtmpose import OnnxNetwork, find_boxes, rtmpose
from tests.refusals import refuses

SIDE, WIDTH, HEIGHT, JOINTS = 64, 48, 64, 26
POSE_SHAPES = ((0, JOINTS, 2 * WIDTH), (0, JOINTS, 2 * HEIGHT))


class Pose:
    """Answers where a cut is brightest, for every joint, and keeps what it was shown."""

    def __init__(self):
        self.shown = []

    def __call__(self, pixels):
        self.shown.append(pixels)
        bright = pixels.mean(axis=1)  # (P, H, W)
        return [np.repeat(bright.max(axis=axis)[:, None, :].repeat(2, axis=-1), JOINTS, axis=1) / 10 for axis in (1, 2)]

    def network(self, batch=0):
        return OnnxNetwork(self, (batch, 3, HEIGHT, WIDTH), POSE_SHAPES)


def boxes_network(boxes, labels=None):
    """Answers these rows (x, y, x, y, score) of a picture of SIDE, whatever it is shown."""
    answer = [np.array([boxes], dtype=np.float32)] + ([] if labels is None else [np.array([labels])])
    return OnnxNetwork(lambda _: answer, (1, 3, SIDE, SIDE), ((1, 0, 5), (1, 0))[: len(answer)])


def picture_with_dots(*dots):
    picture = np.zeros((180, 320, 3), dtype=np.uint8)
    for x, y in dots:
        picture[y - 2 : y + 2, x - 2 : x + 2] = 255
    return picture


def test_people_are_looked_at_in_padded_boxes_all_at_once():
    pose = Pose()
    scale = SIDE / 320
    rows = [
        (40 * scale, 20 * scale, 100 * scale, 160 * scale, 0.9),
        (200 * scale, 60 * scale, 300 * scale, 120 * scale, 0.5),
    ]
    eyes = rtmpose(boxes_network([*rows, (0, 0, 9, 9, 0.2), (0, 0, 30, 30, 0.9)], [0, 0, 0, 7]), pose.network())
    picture = picture_with_dots((80, 100), (250, 90))
    regions = eyes.find(picture)
    assert [region.centre_px for region in regions] == [pytest.approx((70, 90)), pytest.approx((250, 90))]
    # A wide box is as wide as the network's pictures, and both have a margin of a quarter.
    assert [region.side_px for region in regions] == pytest.approx([1.25 * 140, 1.25 * 100 * HEIGHT / WIDTH])
    one, other = eyes.look(picture, regions)
    assert [pixels.shape for pixels in pose.shown] == [(2, 3, HEIGHT, WIDTH)]
    np.testing.assert_allclose(one.joints_px[:, :2], np.tile((80, 100), (JOINTS, 1)), atol=3)
    np.testing.assert_allclose(other.joints_px[:, :2], np.tile((250, 90), (JOINTS, 1)), atol=3)
    # White less ImageNet's mean by its deviation, RGB.
    white = pose.shown[0].max(axis=(0, 2, 3))
    expected = [(255 - 123.675) / 58.395, (255 - 116.28) / 57.12, (255 - 103.53) / 57.375]
    np.testing.assert_allclose(white, expected, rtol=0.1)
    alone = Pose()
    rtmpose(boxes_network(rows), alone.network(batch=1)).look(picture, regions)
    assert [len(pixels) for pixels in alone.shown] == [1, 1]


def test_scores_become_confidences_and_the_next_box_lies_around_sure_joints():
    x, y = np.zeros((1, JOINTS, 2 * WIDTH), dtype=np.float32), np.zeros((1, JOINTS, 2 * HEIGHT), dtype=np.float32)
    for joint in range(JOINTS):
        x[0, joint, 24 + joint], y[0, joint, 10 + 4 * joint] = 0.8, 0.9
    x[0, 3], y[0, 3, 127] = 0.1, 3.0  # not sure, at the rim
    x[0, 4, 28] = y[0, 4, 26] = 1.4
    pose = OnnxNetwork(lambda _: [x, y], (1, 3, HEIGHT, WIDTH), POSE_SHAPES)
    ((joints, following, presence),) = rtmpose(boxes_network([]), pose).look(
        picture_with_dots(), [Region((100.0, 90.0), 64.0)]
    )
    np.testing.assert_allclose(joints[0], (100 - 24 + 12, 90 - 32 + 5, 0.8), rtol=1e-6)
    assert joints[3, 2] == pytest.approx(0.1)
    assert joints[4, 2] == 1.0
    assert presence == pytest.approx(joints[:, 2].mean())
    assert following.side_px == pytest.approx(1.25 * 4 * 25 / 2)


def test_boxes_of_cells_are_decoded_and_suppressed():
    cells = np.zeros((1, 84, 5 + 2), dtype=np.float32)  # 8 x 8, 4 x 4 and 2 x 2 cells of a picture of 64
    cells[0, 8 * 3 + 2] = 0.5, 0.5, np.log(2), np.log(3), 0.9, 1.0, 0.0
    cells[0, 8 * 3 + 3] = -0.5, 0.5, np.log(2), np.log(3), 0.8, 1.0, 0.0  # the same box again
    cells[0, 64 + 5] = 0.0, 0.0, 0.0, 0.0, 0.9, 0.1, 0.9  # no person
    cells[0, 80] = 0.5, 0.5, 0.0, 0.0, 1.0, 1.0, 0.0
    detector = OnnxNetwork(lambda _: [cells], (1, 3, SIDE, SIDE), ((1, 84, 7),))
    boxes = find_boxes(np.zeros((32, 64, 3), dtype=np.uint8), detector, SIDE)
    np.testing.assert_allclose(boxes, [(0, 0, 32, 32), (20 - 8, 28 - 12, 20 + 8, 28 + 12)], atol=1e-4)


def fake_runtime(monkeypatch, files):
    """An onnxruntime whose sessions have the shapes that `files` say by name: (input, outputs)."""

    def session(path, providers):
        assert providers == [("CPUExecutionProvider", {})]
        given, answered = files[path.rsplit("/", 1)[1]]
        return SimpleNamespace(
            get_inputs=lambda: [SimpleNamespace(name="input", shape=given)],
            get_outputs=lambda: [SimpleNamespace(shape=shape) for shape in answered],
            run=None,
        )

    runtime = SimpleNamespace(
        InferenceSession=session, get_available_providers=lambda: ["CPUExecutionProvider"], __version__="1"
    )
    monkeypatch.setitem(sys.modules, "onnxruntime", runtime)


POSE_FILE = (["batch", 3, HEIGHT, WIDTH], [["batch", JOINTS, 96], ["batch", JOINTS, 128]])
BOXES_FILE = ([1, 3, SIDE, SIDE], [[1, "n", 5], [1, "n"]])


def test_files_are_told_apart_by_their_shapes(tmp_path, monkeypatch):
    fake_runtime(monkeypatch, {"a.onnx": POSE_FILE, "b.onnx": BOXES_FILE})
    (tmp_path / "a.onnx").write_bytes(b"one")
    (tmp_path / "b.onnx").write_bytes(b"two")
    detector = open_detector(f"rtmpose:{tmp_path}")
    assert (detector.name, detector.joint_order) == ("rtmpose", "halpe26")
    assert list(detector.files) == ["b.onnx", "a.onnx"]
    assert detector.calibration.startswith("not calibrated")
    for other in (BOXES_FILE, ([1, 3, 8, 8], [[1, 1000]])):
        fake_runtime(monkeypatch, {"a.onnx": other, "b.onnx": BOXES_FILE})
        refuses(r"holds a.onnx .*Expected one RTMPose", open_detector, f"rtmpose:{tmp_path}")
    (tmp_path / "a.onnx").unlink()
    (tmp_path / "b.onnx").unlink()
    refuses(r"no .onnx file there", open_detector, f"rtmpose:{tmp_path}")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    refuses("pip install onnxruntime", open_detector, f"rtmpose:{tmp_path}")


def write_onnx(folder):
    """A pose network that answers where its picture is brightest, and a detector that always sees one box."""
    from onnx import TensorProto, helper, numpy_helper, save

    def value(name, shape):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    def constant(name, array):
        return numpy_helper.from_array(np.array(array), name)

    nodes = []
    for name, axes in (("x", "down"), ("y", "across")):
        nodes += [
            helper.make_node("ReduceMax", ["input", axes], [f"{name}1"], keepdims=0),
            helper.make_node("Reshape", [f"{name}1", f"{name}_rows"], [f"{name}2"]),
            helper.make_node("Tile", [f"{name}2", "twice"], [f"{name}3"]),
            helper.make_node("Reshape", [f"{name}3", f"{name}_flat"], [f"{name}4"]),
            helper.make_node("Tile", [f"{name}4", "joints"], [f"{name}5"]),
            helper.make_node("Add", [f"{name}5", f"{name}_corner"], [f"simcc_{name}"]),
        ]
    constants = [
        constant("down", [1, 2]), constant("across", [1, 3]), constant("twice", [1, 1, 1, 2]),
        constant("joints", [1, JOINTS, 1]), constant("x_rows", [0, 1, WIDTH, 1]), constant("y_rows", [0, 1, HEIGHT, 1]),
        constant("x_flat", [0, 1, 2 * WIDTH]), constant("y_flat", [0, 1, 2 * HEIGHT]),
    ]  # fmt: skip
    # The last joint lies in the cut's first corner, so that the next box is one.
    for name, size in (("x", WIDTH), ("y", HEIGHT)):
        corner = np.zeros((1, JOINTS, 2 * size), dtype=np.float32)
        corner[0, -1, 0] = 100.0
        constants.append(constant(f"{name}_corner", corner))
    outputs = [value("simcc_x", ["n", JOINTS, 2 * WIDTH]), value("simcc_y", ["n", JOINTS, 2 * HEIGHT])]
    pose = helper.make_graph(nodes, "pose", [value("input", ["n", 3, HEIGHT, WIDTH])], outputs, constants)
    box = constant("box", np.array([[[8, 4, 20, 34, 0.9]]], dtype=np.float32))
    nothing = helper.make_node("Mul", ["mean", "zero"], ["nothing"])
    detector = helper.make_graph(
        [helper.make_node("ReduceMean", ["input"], ["mean"], keepdims=0), nothing, helper.make_node("Add", ["box", "nothing"], ["dets"])],
        "boxes", [value("input", [1, 3, SIDE, SIDE])], [value("dets", [1, 1, 5])], [box, constant("zero", np.float32(0))],
    )  # fmt: skip
    for name, graph in (("pose", pose), ("boxes", detector)):
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
        save(model, folder / f"{name}.onnx")


def test_a_small_network_of_the_same_interface_goes_through_a_video(tmp_path):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    write_onnx(tmp_path)
    detector = open_detector(f"rtmpose:{tmp_path}", "cpu")
    dots = [(60 + 2 * frame, 90) for frame in range(5)]
    people = detector.people([picture_with_dots(dot) for dot in dots], 10.0, None)
    detections = detections_of(detector, people, 3)
    assert detections.joint_order == "halpe26"
    assert detections.frame.tolist() == [3, 4, 5, 6, 7]
    np.testing.assert_allclose(detections.keypoints_px[4, :-1, :2], np.tile(dots[4], (JOINTS - 1, 1)), atol=3)
    (tmp_path / "pose.onnx").write_bytes(b"no network")
    refuses(r"pose.onnx: cannot be run by onnxruntime", open_detector, f"rtmpose:{tmp_path}", "cpu")
