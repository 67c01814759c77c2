"""Protocols: each is what its source does, and no two of them are the same."""

import itertools

import pytest
import torch

from kinemesh.body.skeleton import EVALUATED_JOINTS
from kinemesh.geometry.rotation import axis_angle_to_matrix
from kinemesh.metrics import Posed, frame_errors
from kinemesh.protocols import PROTOCOLS, choose_protocols, root_mm
from kinemesh.structures import BodyMesh, BodyParams
from tests.refusals import refuses


@pytest.fixture
def bodies(posed_body) -> tuple[BodyMesh, BodyMesh]:
    """A predicted and a true body that differ in shape, pose and heading."""
    torch.manual_seed(0)
    pose = torch.randn(4, 24, 3) * 0.25
    wrong = pose + torch.randn(4, 24, 3) * 0.2
    pred, target = (
        posed_body(BodyParams(axis_angle_to_matrix(angles), torch.randn(4, 10))) for angles in (wrong, pose)
    )
    # The stand-in's joint 0 lies half-way between its hips; that of other regressors does not.
    joints = pred.joints_mm.clone()
    joints[:, 0] += torch.tensor([0.0, 25.0, 10.0])
    return pred._replace(joints_mm=joints), target


def test_pairwise_different(bodies):
    found = {
        name: torch.stack([frame_errors(Posed(protocol, *bodies))[metric] for metric in ("mpjpe", "mpve")])
        for name, protocol in PROTOCOLS.items()
    }
    for one, other in itertools.combinations(found, 2):
        assert (found[one] - found[other]).abs().max() > 0.5, f"{one} and {other} score alike"
    protocols = PROTOCOLS.values()
    ways = [(p.clips, p.flip, p.joints, p.joint_root, p.vertex_root, p.skips_video_ends) for p in protocols]
    assert len(set(ways)) == len(ways)


def by_hand(
    joints: str, joint_root, vertex_root, pred: BodyMesh, target: BodyMesh
) -> tuple[torch.Tensor, torch.Tensor]:
    """MPJPE and MPVE, body after body, with the roots given as functions of a body."""
    moved = []
    for mesh in (pred, target):
        points = mesh.joints_mm[:, list(EVALUATED_JOINTS)] if joints == "h36m" else mesh.smpl_joints_mm
        moved.append((points - joint_root(mesh)[:, None], mesh.vertices_mm - vertex_root(mesh)[:, None]))
    return tuple((own - true).norm(dim=-1).mean(-1) for own, true in zip(*moved, strict=True))


@pytest.mark.parametrize(
    ("name", "joints", "joint_root", "vertex_root"),
    [
        ("motionbert", "h36m", lambda m: m.joints_mm[:, 0], lambda m: m.joints_mm[:, 0]),
        ("vibe_tcmr", "h36m", lambda m: m.joints_mm[:, [1, 4]].mean(1), lambda m: torch.zeros(4, 3)),
        ("wham", "h36m", lambda m: m.joints_mm[:, [1, 4]].mean(1), lambda m: m.joints_mm[:, [1, 4]].mean(1)),
        ("pmce", "h36m", lambda m: m.joints_mm[:, 0], lambda m: m.smpl_root_mm[:, 0]),
        ("smpl24", "smpl", lambda m: m.smpl_joints_mm[:, 0], lambda m: m.smpl_joints_mm[:, 0]),
    ],
)  # fmt: skip
def test_as_documented(bodies, name, joints, joint_root, vertex_root):
    found = frame_errors(Posed(PROTOCOLS[name], *bodies))
    mpjpe, mpve = by_hand(joints, joint_root, vertex_root, *bodies)
    torch.testing.assert_close(found["mpjpe"], mpjpe, atol=1e-3, rtol=0)
    torch.testing.assert_close(found["mpve"], mpve, atol=1e-3, rtol=0)


def test_an_offset_of_the_whole_body_counts_only_where_vertices_are_not_moved(bodies):
    pred, target = bodies
    away = BodyMesh(*(part + 100.0 for part in pred))
    for name, protocol in PROTOCOLS.items():
        before, after = (frame_errors(Posed(protocol, mesh, target))["mpve"] for mesh in (pred, away))
        assert ((after - before).abs().max() > 20) == (name == "vibe_tcmr"), name


def test_errors_by_joint_average_to_mpjpe(bodies):
    rotations = torch.eye(3).expand(4, 24, 3, 3)
    for protocol in PROTOCOLS.values():
        found = frame_errors(Posed(protocol, *bodies, rotations, rotations), detailed=True)
        names = [protocol.joint_names[joint] for joint in protocol.evaluated]
        mean = torch.stack([found[f"mpjpe/{name}"] for name in names]).mean(0)
        torch.testing.assert_close(mean, found["mpjpe"])


def test_choosing_and_an_unknown_root(bodies):
    assert [protocol.name for protocol in choose_protocols([])] == ["motionbert"]
    assert [protocol.name for protocol in choose_protocols(["wham", "pmce", "wham"])] == ["wham", "pmce"]
    refuses("--protocol spin: expected one of motionbert, vibe_tcmr, wham", choose_protocols, ["spin"])
    with pytest.raises(ValueError, match="no point is named knee"):
        root_mm(bodies[0], "knee")
