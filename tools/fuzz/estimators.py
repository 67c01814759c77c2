"""SMPL bodies in the files of other systems, as their programs lay them out; docs/estimators.md names each layout's source."""

import pickle
import zlib

import numpy as np
import torch

from kinemesh.geometry.rotation import axis_angle_to_matrix, matrix_to_axis_angle, matrix_to_quaternion
from tools.fuzz.joblib_layout import write_joblib
from tools.fuzz.people import Files, People, npz, objects, saved


def predictions(people: People) -> Files:
    count, frames = people.poses.shape[:2]
    return {
        "predictions.npz": npz(
            video=np.full(count * frames, people.video), frame=np.tile(people.frames, count), fps=np.array(people.fps),
            poses=people.poses.reshape(-1, 72), betas=people.shapes.reshape(-1, 10), person=np.repeat(np.arange(count), frames),
        )
    }  # fmt: skip


def tracks(people: People) -> Files:
    """`infer_wild_mesh.py`'s."""
    camera = np.array([1500.0, 640.0, 360.0, 1280.0, 720.0])
    common = {"gender": np.array("neutral"), "frame_ids": people.frames, "mocap_framerate": np.array(people.fps)}
    return {
        f"{people.video}/{number}.npz": npz(poses=poses, betas=betas, trans=trans, camera=camera, **common)
        for number, (poses, betas, trans) in enumerate(zip(people.poses, people.betas, people.places_m, strict=True))
    }


def amass_smplh(people: People) -> Files:
    poses = np.zeros((people.poses.shape[1], 156), np.float32)
    poses[:, :66], poses[:, 66:] = people.poses[0, :, :66], 0.1
    betas = np.concatenate((people.betas[0], np.ones(6)))
    more = {"gender": np.array("neutral"), "dmpls": np.zeros((len(poses), 8)), "mocap_framerate": np.array(people.fps)}
    return {f"{people.video}.npz": npz(poses=poses, betas=betas, trans=people.places_m[0], **more)}


def amass_in_a_world(people: People) -> Files:
    """z up, seen from elsewhere, and no camera."""
    to_world = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
    around = axis_angle_to_matrix(torch.tensor([0.0, 0.0, 2.0]))
    root = around @ to_world @ axis_angle_to_matrix(torch.from_numpy(people.poses[0, :, :3]))
    poses = np.concatenate((matrix_to_axis_angle(root).numpy(), people.poses[0, :, 3:]), axis=1)
    return {f"{people.video}.npz": npz(poses=poses, betas=people.betas[0], trans=people.places_m[0], fps=people.fps)}


def smplcodec(people: People) -> Files:
    """SMPL's, in a world with y up."""
    to_world = torch.tensor([[1.0, 0.0, 0.0], [0.0, -1.0, 0.0], [0.0, 0.0, -1.0]])
    root = to_world @ axis_angle_to_matrix(torch.from_numpy(people.poses[0, :, :3]))
    poses = np.concatenate((matrix_to_axis_angle(root).numpy(), people.poses[0, :, 3:]), axis=1)
    return smplcodec_file(people, poses.reshape(-1, 24, 3), people.betas[0], smplVersion=np.int32(0))


def smplcodec_file(people: People, poses: np.ndarray, betas: np.ndarray, **more) -> Files:
    count, more = len(poses), {"codecVersion": np.int32(1), "gender": np.int32(0), **more}
    motion = {"frameCount": np.int32(count), "frameRate": np.float32(people.fps), "bodyTranslation": people.places_m[0]}
    return {f"{people.video}.smpl": npz(bodyPose=poses, shapeParameters=betas, **motion, **more)}


def hybrik(people: People) -> Files:
    return hybrik_file(people, people.rotations[0].reshape(-1, 216), people.shapes[0], 1)


def hybrik_of_quaternions(people: People) -> Files:
    quaternions = matrix_to_quaternion(torch.from_numpy(people.rotations[0]))[..., [3, 0, 1, 2]]
    return hybrik_file(people, quaternions.reshape(-1, 96).numpy(), people.shapes[0], 0)


def hybrik_file(people: People, thetas: np.ndarray, betas: np.ndarray, first: int) -> Files:
    images = [f"out/raw_images/{people.video}-{number + first:06d}.jpg" for number in people.frames]
    content = {"pred_thetas": thetas, "pred_betas": betas, "transl": people.places_m[0], "img_path": images}
    return {"res.pk": pickle.dumps(content, 4)}


def _by_person(people: People, **more) -> dict:
    return {
        number: {"pose": pose, "betas": betas, "frame_ids": people.frames, **more}
        for number, (pose, betas) in enumerate(zip(people.poses, people.shapes, strict=True), start=1)
    }


def wham(people: People) -> Files:
    return {
        f"{people.video}/wham_output.pkl": write_joblib(_by_person(people, trans=np.zeros((len(people.frames), 3))))
    }


def vibe(people: People) -> Files:
    count = len(people.frames)
    more = {
        "pred_cam": np.ones((count, 3)),
        "orig_cam": np.ones((count, 4)),
        "joints2d": None,
        "bboxes": np.ones((count, 4)),
    }
    return {f"{people.video}/vibe_output.pkl": zlib.compress(write_joblib(_by_person(people, **more)), 1)}


def wham_api(people: People) -> Files:
    content = {
        number: {
            "poses_body": rotations[:, 1:], "poses_root_cam": rotations[:, :1], "betas": betas, "frame_id": people.frames,
            "trans_world": np.zeros((len(rotations), 3)),
        }
        for number, (rotations, betas) in enumerate(zip(people.rotations, people.shapes, strict=True))
    }  # fmt: skip
    return {f"{people.video}.pkl": pickle.dumps(content, 4)}


def tram(people: People) -> Files:
    def track(number: int) -> dict:
        return {
            "pred_cam": torch.ones(len(people.frames), 3), "pred_shape": torch.from_numpy(people.shapes[number]),
            "pred_rotmat": torch.from_numpy(people.rotations[number]), "frame": torch.from_numpy(people.frames),
            "pred_trans": torch.from_numpy(people.places_m[number])[:, None],
        }  # fmt: skip

    files = {f"hps/hps_track_{number}.npy": track(number) for number in range(len(people.poses))}
    files["camera.npy"] = {"world_cam_R": np.zeros((2, 3, 3)), "img_focal": 1500.0}
    return {
        f"{people.video}/{name}": saved(lambda file, it=it: np.save(file, objects(it))) for name, it in files.items()
    }


def cliff(people: People) -> Files:
    """Two people in every image, in no order."""
    count, frames = people.poses.shape[:2]
    order = np.array([(frame, (person + frame) % count) for frame in range(frames) for person in range(count)])
    names = np.array([f"{people.video}/{frame:06d}.jpg" for frame in order[:, 0]])
    rows = (order[:, 1], order[:, 0])
    given = {"pose": people.poses[rows], "shape": people.shapes[rows], "global_t": people.places_m[rows]}
    return {f"{people.video}_cliff_hr48.npz": npz(imgname=names, focal_l=np.ones(len(order)), **given)}


def mmhuman3d(people: People) -> Files:
    count, frames = people.poses.shape[:2]
    poses = people.poses.reshape(-1, 24, 3)
    smpl = {"body_pose": poses[:, 1:], "global_orient": poses[:, 0], "betas": people.shapes.reshape(-1, 10)}
    more = {"frame_id": np.tile(people.frames, count), "person_id": np.repeat(np.arange(count), frames)}
    more["image_path"] = np.array([f"images/{frame:06d}.png" for frame in more["frame_id"]])
    return {
        f"{people.video}/inference_result.npz": npz(smpl=objects(smpl), pred_cams=np.ones((count * frames, 3)), **more)
    }


def _romp_frame(people: People, frame: int, **more) -> dict:
    return {
        "smpl_thetas": people.poses[:, frame], "smpl_betas": people.betas, "cam_trans": people.places_m[:, frame],
        "cam": np.ones((len(people.poses), 3), np.float32), **more,
    }  # fmt: skip


def romp(people: People) -> Files:
    """A file a frame; nobody is tracked."""
    frames = {f"{people.video}/{frame:08d}.npz": _romp_frame(people, frame) for frame in people.frames}
    return {name: npz(results=objects(frame)) for name, frame in frames.items()}


def romp_video(people: People) -> Files:
    """Tracked people, in a file of the whole video and in one of each frame."""
    ids = {"track_ids": np.arange(len(people.poses))}
    frames = {f"{frame:08d}.png": _romp_frame(people, frame, **ids) for frame in people.frames}
    whole = npz(results=objects(frames), sequence_results=objects({}))
    single = {name.replace("png", "npz"): npz(results=objects(frame)) for name, frame in frames.items()}
    return {f"{people.video}/{name}": content for name, content in {"video_results.npz": whole, **single}.items()}


def nlf(people: People) -> Files:
    content = {
        "pose": [torch.from_numpy(people.poses[:, frame].copy()) for frame in people.frames],
        "betas": [torch.from_numpy(people.betas) for _ in people.frames],
        "trans": [torch.from_numpy(people.places_m[:, frame].copy()) for frame in people.frames],
    }
    return {f"{people.video}.pkl": pickle.dumps(content, 4)}


def phalp(people: People) -> Files:
    content = {
        f"outputs/{people.video}/img/{frame:06d}.jpg": {
            "time": frame, "tid": list(range(len(people.poses))),
            "smpl": [
                {"global_orient": rotations[:1], "body_pose": rotations[1:], "betas": betas}
                for rotations, betas in zip(people.rotations[:, frame], people.betas, strict=True)
            ],
        }
        for frame in people.frames.tolist()
    }  # fmt: skip
    return {f"demo_{people.video}.pkl": zlib.compress(write_joblib(content), 1)}


def sam3d(people: People, points_m: np.ndarray | None = None) -> Files:
    """A file a person and image. `points_m` (P, F, 70, 3): MHR's keypoints."""
    if points_m is None:
        points_m = np.random.default_rng(0).normal(0, 0.3, (*people.poses.shape[:2], 70, 3)).astype("f4")
    return {
        f"{people.video}/{frame:06d}_subj{number:02d}.npz": npz(
            pred_keypoints_3d=points_m[number, frame], pred_cam_t=people.places_m[number, frame],
            focal_length=np.array(1500.0), mask=objects(None), mhr_model_params=np.zeros(204, np.float32),
        )
        for number in range(len(people.poses))
        for frame in people.frames.tolist()
    }  # fmt: skip


def vertices(people: People, vertices_m: np.ndarray | None = None) -> Files:
    """Of one person (F, 6890, 3): an array by itself."""
    return {f"{people.video}.npy": saved(lambda file: np.save(file, _vertices(people, vertices_m)))}


def named_vertices(people: People, vertices_m: np.ndarray | None = None) -> Files:
    return {f"{people.video}/verts.npz": npz(verts=_vertices(people, vertices_m), frame_ids=people.frames)}


def objs(people: People, vertices_m: np.ndarray | None = None) -> Files:
    """An OBJ an image, of a world with y up."""
    frames = (_vertices(people, vertices_m) * np.array([1, -1, -1], np.float32)).tolist()
    texts = ["".join(f"v {x:.6f} {y:.6f} {z:.6f}\n" for x, y, z in frame) + "f 1 2 3\n" for frame in frames]
    return {f"{people.video}/{frame:06d}_person_0.obj": text.encode() for frame, text in enumerate(texts)}


def _vertices(people: People, vertices_m: np.ndarray | None) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.normal(0, 0.3, (len(people.frames), 6890, 3)).astype("f4") if vertices_m is None else vertices_m


OF_VERTICES = (vertices, named_vertices, objs)
# Whose file holds everybody, and whose one person.
OF_EVERYBODY = (predictions, tracks, wham, vibe, wham_api, tram, cliff, mmhuman3d, romp, romp_video, nlf, phalp)
OF_ONE = (amass_smplh, amass_in_a_world, smplcodec, hybrik, hybrik_of_quaternions)
