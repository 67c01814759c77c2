"""SMPL-X bodies in the files of other systems; as `tools.fuzz.estimators`."""

import numpy as np
import torch

from kinemesh.geometry.rotation import axis_angle_to_matrix
from tools.fuzz.estimators import hybrik_file, smplcodec_file
from tools.fuzz.joblib_layout import write_joblib
from tools.fuzz.people import SMPLX_JOINTS, Files, People, npz, objects, torch_bytes


def amass_smplx(people: People) -> Files:
    more = {
        "gender": np.array("neutral"),
        "surface_model_type": np.array("smplx"),
        "mocap_frame_rate": np.array(people.fps),
    }
    poses = people.smplx[0]
    parts = {"root_orient": poses[:, :3], "pose_body": poses[:, 3:66]}
    return {f"{people.video}.npz": npz(poses=poses, betas=np.ones(16), trans=people.places_m[0], **parts, **more)}


def hybrik_x(people: People) -> Files:
    return hybrik_file(people, people.smplx_rotations[0].reshape(-1, 495), np.ones((len(people.frames), 11)), 1)


def smplcodec_x(people: People) -> Files:
    """As PromptHMR writes each person, but that these stand before the camera."""
    poses = people.smplx[0, :, :66].reshape(-1, 22, 3)
    files = smplcodec_file(
        people, poses, np.ones(10, np.float32), smplVersion=np.int32(2), headPose=np.zeros((len(poses), 3, 3))
    )
    return {f"{people.video}/subject-1.smpl": content for content in files.values()}


def pymaf_x(people: People) -> Files:
    """Detections that nothing joins to people, in no order, beside parameters as tensors."""
    count, frames = people.poses.shape[:2]
    order = [(frame, (person + frame) % count) for frame in range(frames) for person in range(count)]
    rows = tuple(np.array(order).T[::-1])
    names = [f"walk_f{frame}_p{place}" for place, (frame, _) in enumerate(order)]
    content = {
        "pred_cam": np.ones((len(order), 3), np.float32), "orig_cam_t": people.places_m[rows], "verts": np.zeros((len(order), 9, 3)),
        "pose": people.poses[rows], "betas": np.ones((len(order), 10), np.float32), "person_ids": names,
        "frame_ids": [frame for frame, _ in order], "smplx_params": [{"shape": torch.ones(len(order), 10)}],
    }  # fmt: skip
    return {f"{people.video}/output.pkl": write_joblib(content)}


def _prompthmr_person(people: People, number: int, name: str) -> dict:
    rotations = people.smplx_rotations[number]
    body = {"rotmat": rotations, "shape": np.ones((len(rotations), 10)), "trans": people.places_m[number]}
    return {"frames": people.frames, "track_id": number, "vitpose": np.zeros((len(rotations), 17, 3)), name: body}


def prompthmr(people: People) -> Files:
    content = {number: _prompthmr_person(people, number, "smplx_cam") for number in range(len(people.poses))}
    return {f"{people.video}/results.pkl": write_joblib({"people": content, "camera": {"img_focal": 1500.0}})}


def prompthmr_in_a_world(people: People) -> Files:
    """Without `smplx_cam`: bodies go through the file's own camera."""
    moving = axis_angle_to_matrix(torch.from_numpy(people.frames[:, None] * np.array([0.1, 0.2, -0.1]))).float()
    person = _prompthmr_person(people, 0, "smplx_world")
    root = torch.from_numpy(person["smplx_world"]["rotmat"][:, 0])
    person["smplx_world"]["rotmat"][:, 0] = (moving.mT @ root).numpy()
    content = {"people": {1: person}, "camera_world": {"Rcw": moving.numpy(), "Tcw": np.zeros((len(moving), 3))}}
    return {f"{people.video}/results.pkl": write_joblib(content)}


def _smplx_params(people: People) -> dict[str, torch.Tensor]:
    poses, betas = torch.from_numpy(people.smplx[0]), torch.ones(1, 10).expand(len(people.frames), 10)
    transl = torch.from_numpy(people.places_m[0])
    return {
        "body_pose": poses[:, 3:66].clone(),
        "betas": betas,
        "global_orient": poses[:, :3].clone(),
        "transl": transl,
    }


def gvhmr(people: People) -> Files:
    params = _smplx_params(people)
    in_world = params | {"global_orient": torch.zeros(len(people.frames), 3)}
    content = {
        "smpl_params_global": in_world, "smpl_params_incam": params, "K_fullimg": torch.eye(3).repeat(len(people.frames), 1, 1),
        "net_outputs": {"model_output": {"pred_cam": torch.ones(1, len(people.frames), 3)}},
    }  # fmt: skip
    return {f"{people.video}/hmr4d_results.pt": torch_bytes(content)}


def gem(people: People) -> Files:
    params = _smplx_params(people)
    content = {"body_params_incam": params, "body_params_global": params, "K_fullimg": torch.eye(3)[None]}
    return {f"{people.video}_mix/smpl_params.pt": torch_bytes(content)}


def gvhmr_npz(people: People) -> Files:
    params = {key: value.numpy() for key, value in _smplx_params(people).items()}
    arrays = {f"{side}_{key}": value for side in ("world", "camera") for key, value in params.items()}
    intrinsics = np.repeat(np.eye(3)[None], len(people.frames), axis=0)
    return {
        f"{people.video}.npz": npz(fps=np.array(people.fps), camera=np.array("static"), intrinsics=intrinsics, **arrays)
    }


def mmhuman3d_smplx(people: People) -> Files:
    smplx = {"fullpose": people.smplx[0].reshape(-1, SMPLX_JOINTS, 3), "betas": np.ones((len(people.frames), 10))}
    return {
        f"{people.video}/inference_result.npz": npz(smplx=objects(smplx), pred_cams=np.ones((len(people.frames), 3)))
    }


# Of one person each, but PromptHMR and PyMAF-X.
OF_SMPLX = (
    amass_smplx,
    hybrik_x,
    smplcodec_x,
    pymaf_x,
    prompthmr,
    prompthmr_in_a_world,
    gvhmr,
    gem,
    gvhmr_npz,
    mmhuman3d_smplx,
)
