"""Two made-up people who walk past one another, with what tracks have: gaps, interpolated frames, one shape each."""

import numpy as np
import pytest
import roma
import torch

from kinemesh.body.params import turned
from kinemesh.demo.splits import StandIn
from kinemesh.export.formats import FORMATS
from kinemesh.export.rig import Rig, params_of_rows
from kinemesh.export.scene import Footage, Scene, placed_in, scene_of
from kinemesh.export.write import OutputChoices, write_outputs
from kinemesh.geometry.camera import CAMERA_TO_Y_UP
from kinemesh.motion.motion import make_motion
from kinemesh.structures import CONTACT_NAMES, Timeline, Track, TrackWorld, VideoCamera, World

FRAME_COUNT, FPS = 40, 25.0
TIMELINE = Timeline.of_constant_rate(FPS, FRAME_COUNT)
# A phone's: every fifth frame is shown three times as long.
_SHOWN_S = np.cumsum(np.where(np.arange(FRAME_COUNT) % 5 == 1, 3, 1) / 35) - 1 / 35
UNEVEN = Timeline((FRAME_COUNT - 1) / _SHOWN_S[-1], _SHOWN_S)


@pytest.fixture(scope="session")
def camera() -> VideoCamera:
    return VideoCamera(focal_px=180.0, centre_px=(64.0, 48.0), image_size=(128, 96))


@pytest.fixture(scope="session")
def tracks() -> list[Track]:
    """The first is there throughout; the second comes late and is lost from frame 18 to frame 29."""
    betas = np.array([[0.8, -1.2, 0.4, *[0.0] * 7], [-1.5, 1.0, 0.0, *[0.3] * 7]])
    rest_joints_m = StandIn().shaped_rest_joints_m(betas)
    motion = make_motion(np.random.default_rng(4), ["walk", "walk_turn"], FRAME_COUNT, FPS, rest_joints_m)
    present = np.ones((2, FRAME_COUNT), dtype=bool)
    present[1, :6] = present[1, 18:30] = False
    made = []
    for number, turn in enumerate((0.9, -0.9)):
        # World, y up, to camera axes, y down; to the left and to the right.
        to_camera = np.diag([1.0, -1.0, -1.0]) @ roma.rotvec_to_rotmat(torch.tensor([0.0, turn, 0.0])).numpy()
        rotations = motion.rotations[number].copy()
        rotations[:, 0] = to_camera @ rotations[:, 0]
        poses = roma.rotmat_to_rotvec(torch.from_numpy(rotations)).flatten(1).numpy()
        pelvis = motion.root_m[number] + rest_joints_m[number, 0]
        pelvis = (pelvis - pelvis.mean(axis=0) * [1, 0, 1]) @ to_camera.T + [0.0, 0.9, 4.0 + number]
        interpolated = np.zeros(FRAME_COUNT, dtype=bool)
        interpolated[8:11] = True
        kept = present[number]
        made.append(
            Track(
                name=f"{number + 1}",
                frame_ids=np.flatnonzero(kept),
                poses=poses[kept].astype(np.float32),
                betas=betas[number].astype(np.float32),
                trans_m=(pelvis - rest_joints_m[number, 0])[kept].astype(np.float32),
                confidence=np.where(interpolated, 0, 0.9)[kept].astype(np.float32),
                interpolated=interpolated[kept],
            )
        )
    return made


@pytest.fixture(scope="session", params=["stands", "moves"])
def filmed(request, tracks, camera, assets) -> tuple[list[Track], Footage]:
    """The same people, by a camera that looks down and is not level, 0.9 m above their floor; or pans and walks, too.

    The first track knows its bodies in the world, of the second only the camera's place is known.
    """
    count = 1 if request.param == "stands" else FRAME_COUNT
    pan = np.linspace(0, 0.5, count) if count > 1 else np.zeros(1)
    turns = torch.tensor(np.stack([0.35 + 0 * pan, pan, 0.1 + 0 * pan], axis=1))
    rotation = CAMERA_TO_Y_UP @ roma.rotvec_to_rotmat(turns).numpy()
    position_m = np.stack([pan, 0.9 + 0 * pan, -pan], axis=1)
    seen = []
    for track in tracks:
        rows = np.minimum(track.frame_ids, count - 1)
        pelvis_m = Rig(track, assets).rest_joints[0]
        level = turned(track.poses, track.trans_m, CAMERA_TO_Y_UP, pelvis_m, pelvis_m)
        level = (level[0], level[1] + [0, 0.9, 0])
        back = rotation[rows].transpose(0, 2, 1)
        poses, trans_m = turned(level[0], level[1] - position_m[rows], back, pelvis_m, pelvis_m)
        contacts = np.random.default_rng(2).random((len(rows), len(CONTACT_NAMES)))
        world = TrackWorld(*(part.astype(np.float32) for part in (level[0][:, :3], level[1], contacts)))
        seen.append(track._replace(poses=poses.astype(np.float32), trans_m=trans_m.astype(np.float32), world=world))
    seen[1] = seen[1]._replace(world=None)
    world = World(rotation.astype(np.float32), position_m.astype(np.float32), "given", 0.0, 0.0)
    return seen, Footage(camera, TIMELINE, world=world)


def scene_and_rig(track: Track, footage: Footage, assets, axes: str = "y_up") -> tuple[Scene, Rig]:
    scene = scene_of(footage, axes)
    return scene, Rig(placed_in(scene, track, Rig(track, assets).rest_joints[0]), assets)


@pytest.fixture(scope="session")
def written(tracks, camera, assets, tmp_path_factory):
    """A folder with every format of both tracks."""
    folder = tmp_path_factory.mktemp("outputs")
    given = Footage(camera, TIMELINE), OutputChoices(FORMATS)
    seconds = write_outputs(tracks, folder, *given, assets, torch.device("cpu"))
    assert list(seconds) == list(FORMATS)
    return folder


@pytest.fixture(scope="session")
def skinned(assets):
    """Poses a track as SMPL's paper says, with pose blend shapes or not: vertices (F, V, 3), joints (F, 24, 3), m."""

    def pose(track: Track, with_pose_blend_shapes: bool):
        params = params_of_rows(track._replace(poses=track.poses.astype(np.float64)), slice(None), torch.device("cpu"))
        rotations = params.rotations.numpy()
        rest = assets.v_template + assets.shapedirs @ track.betas.astype(np.float64)
        rest_joints = assets.J_regressor @ rest
        bones = np.tile(np.eye(4), (*rotations.shape[:2], 1, 1))
        for joint, parent in enumerate(assets.parents):
            local = np.tile(np.eye(4), (len(rotations), 1, 1))
            local[:, :3, :3] = rotations[:, joint]
            local[:, :3, 3] = rest_joints[joint] - (rest_joints[parent] if joint else 0)
            bones[:, joint] = bones[:, parent] @ local if joint else local
        joints = bones[..., :3, 3].copy()
        bones[..., :3, 3] -= (bones[..., :3, :3] @ rest_joints[..., None])[..., 0]
        shaped = np.broadcast_to(rest, (len(rotations), *rest.shape))
        if with_pose_blend_shapes:
            feature = (rotations[:, 1:] - np.eye(3)).reshape(len(rotations), -1)
            shaped = shaped + np.einsum("vdk,nk->nvd", assets.posedirs, feature)
        blended = np.einsum("vj,njab->nvab", assets.skinning_weights, bones)
        vertices = (blended[..., :3, :3] @ shaped[..., None])[..., 0] + blended[..., :3, 3]
        return vertices + track.trans_m[:, None], joints + track.trans_m[:, None]

    return pose
