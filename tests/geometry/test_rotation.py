import numpy as np
import pytest
import roma
import torch
from scipy.spatial.transform import Rotation

from kinemesh.geometry.rotation import (
    axis_angle_to_matrix,
    axis_angle_to_quaternion,
    matrix_to_axis_angle,
    matrix_to_euler_zxy,
    matrix_to_quaternion,
    matrix_to_rotation_6d,
    matrix_to_rotation_6d_rows,
    mean_rotation,
    quaternion_to_matrix,
    rotation_6d_to_matrix,
    rotation_angle,
    slerp,
)


def random_rotations(count: int, seed: int = 0) -> torch.Tensor:
    return torch.tensor(Rotation.random(count, random_state=seed).as_matrix())


def rows_of_pose(theta: torch.Tensor) -> torch.Tensor:
    return matrix_to_rotation_6d_rows(axis_angle_to_matrix(theta.reshape(10, 24, 3)))


@pytest.mark.parametrize(
    ("function", "given", "expected"),
    [
        (axis_angle_to_matrix, "axis_angle", "rotmat"),
        (matrix_to_axis_angle, "rotmat", "rotmat_to_axis_angle"),
        (rotation_6d_to_matrix, "rot6d", "rot6d_to_rotmat"),
        # The released refiner encodes rows.
        (rows_of_pose, "thetas", "init_pose_6d_released"),
    ],
)
def test_reference_vectors(function, given, expected, reference):
    vectors = {name: torch.tensor(array) for name, array in reference("geometry").items()}
    torch.testing.assert_close(function(vectors[given]), vectors[expected], atol=1e-5, rtol=0)


class TestRoundTrips:
    @pytest.mark.parametrize(
        ("there", "back", "width"),
        [(matrix_to_axis_angle, axis_angle_to_matrix, 3), (matrix_to_rotation_6d, rotation_6d_to_matrix, 6)],
    )
    def test_every_rotation_comes_back_in_its_shape(self, there, back, width):
        rotations = random_rotations(480).reshape(20, 6, 4, 3, 3)
        assert there(rotations).shape == (20, 6, 4, width)
        torch.testing.assert_close(back(there(rotations)), rotations)

    def test_rows_are_not_columns(self):
        rotations = random_rotations(100)
        back = rotation_6d_to_matrix(matrix_to_rotation_6d_rows(rotations))
        assert rotation_angle(back @ rotations.mT).rad2deg().mean() > 90


class TestRotationAngle:
    def test_against_scipy_and_its_gradient(self):
        rotations = Rotation.random(300, random_state=1)
        found = rotation_angle(torch.tensor(rotations.as_matrix()).reshape(10, 30, 3, 3))
        torch.testing.assert_close(found, torch.tensor(rotations.magnitude()).reshape(10, 30))
        assert torch.autograd.gradcheck(rotation_angle, random_rotations(4, seed=2).requires_grad_())

    @pytest.mark.parametrize("angle", [0.0, 1e-7, 1e-4, np.pi - 1e-4, np.pi])
    def test_exact_and_bounded_gradient_at_the_ends(self, angle):
        vector = torch.tensor([0.0, angle, 0.0], dtype=torch.float64)
        rotation = axis_angle_to_matrix(vector).float().requires_grad_()
        found = rotation_angle(rotation)
        found.backward()
        assert abs(found.item() - angle) < 1e-6
        assert rotation.grad.isfinite().all()
        assert rotation.grad.abs().max() < 10


class TestRotation6D:
    @pytest.mark.parametrize("vector", [[0.0] * 6, [1.0, 1, 0, 0, 0, 0], [1.0, -2, 1, -2, 1, -2]])
    def test_degenerate_input_gives_finite_values_and_gradients(self, vector):
        vector = torch.tensor(vector, requires_grad=True)
        rotation_6d_to_matrix(vector).sum().backward()
        assert rotation_6d_to_matrix(vector).isfinite().all()
        assert vector.grad.isfinite().all()

    def test_result_is_a_rotation_with_a_gradient(self):
        vectors = torch.randn(100, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        found = rotation_6d_to_matrix(vectors)
        torch.testing.assert_close(found @ found.mT, torch.eye(3, dtype=torch.float64).expand(100, 3, 3))
        torch.testing.assert_close(torch.linalg.det(found), torch.ones(100, dtype=torch.float64))
        assert torch.autograd.gradcheck(rotation_6d_to_matrix, vectors[:5].requires_grad_())


def axes(dtype: torch.dtype) -> torch.Tensor:
    """Unit vectors along, between and across the coordinate axes: at a turn of pi each is a case of its own."""
    drawn = torch.randn(20, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    between = torch.tensor([[1, 1, 0], [1, 0, -1], [0, 1, 1], [1, 1, 1], [-1, 1, 0]], dtype=torch.float64)
    return torch.nn.functional.normalize(torch.cat((torch.eye(3).double(), between, drawn)), dim=-1).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("angle", [0.0, 1e-30, 1e-7, 1e-4, np.pi - 1e-4, np.pi, np.pi + 1e-4, 5.0, 2 * np.pi])
class TestAtIdentityAndPi:
    def test_axis_angle_to_matrix(self, angle, dtype):
        vectors = (axes(dtype) * angle).requires_grad_()
        found = axis_angle_to_matrix(vectors)
        found.square().sum().backward()
        torch.testing.assert_close(
            found.detach().double(), torch.tensor(Rotation.from_rotvec(vectors.detach().numpy()).as_matrix()),
            atol=1e-6, rtol=0,
        )  # fmt: skip
        assert vectors.grad.abs().max() < 10

    @pytest.mark.parametrize("function", [matrix_to_axis_angle, rotation_angle])
    def test_out_of_matrices(self, function, angle, dtype):
        rotations = axis_angle_to_matrix(axes(dtype) * angle).requires_grad_()
        found = function(rotations)
        found.sum().backward()
        expected = abs(angle - 2 * np.pi * round(angle / (2 * np.pi)))
        size = found.norm(dim=-1) if function is matrix_to_axis_angle else found
        assert (size - expected).abs().max() < 1e-5
        assert rotations.grad.abs().max() < 10

    @pytest.mark.parametrize("encode", [matrix_to_rotation_6d, matrix_to_rotation_6d_rows])
    def test_6d(self, encode, angle, dtype):
        rotations = axis_angle_to_matrix(axes(dtype) * angle)
        vectors = encode(rotations).requires_grad_()
        found = rotation_6d_to_matrix(vectors)
        found.square().sum().backward()
        if encode is matrix_to_rotation_6d:
            torch.testing.assert_close(found, rotations, atol=1e-5, rtol=0)
        assert found.isfinite().all()
        assert vectors.grad.abs().max() < 1e7


@pytest.mark.parametrize(
    "vector", [[0.0] * 6, [1.0, 1, 0, 0, 0, 0], [0.0, 0, 1, 1, 0, 0], [1.0, -2, 1, -2, 1, -2], [1e-20] * 6, [1e18] * 6]
)
@pytest.mark.parametrize("function", [rotation_angle, matrix_to_axis_angle])
def test_degenerate_6d_through_to_the_angle(vector, function):
    """What `loss_norm` and the evaluation do with a prediction that is no rotation, as `refine_rotation: rows` gives."""
    vector = torch.tensor(vector, requires_grad=True)
    found = function(rotation_6d_to_matrix(vector))
    found.sum().backward()
    assert found.isfinite().all()
    assert vector.grad.isfinite().all()
    # Squared in a gradient norm, this still fits float32.
    assert vector.grad.abs().max() < 1e15


def test_gradients_elsewhere():
    vectors = torch.randn(6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(4)).requires_grad_()
    assert torch.autograd.gradcheck(axis_angle_to_matrix, vectors)
    # Through a rotation: off the rotations its value is a matter of choice.
    assert torch.autograd.gradcheck(lambda v: matrix_to_axis_angle(axis_angle_to_matrix(v)), vectors)
    pairs = torch.randn(6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(5)).requires_grad_()
    assert torch.autograd.gradcheck(lambda v: rotation_angle(rotation_6d_to_matrix(v)), pairs)


class TestMeanRotation:
    def test_is_half_way_and_scipys_chordal_mean(self):
        first, second = random_rotations(50), random_rotations(50, seed=1)
        mean = mean_rotation(first, second)
        apart = rotation_angle(first.mT @ second)
        torch.testing.assert_close(rotation_angle(first.mT @ mean), apart / 2, atol=1e-6, rtol=0)
        torch.testing.assert_close(rotation_angle(second.mT @ mean), apart / 2, atol=1e-6, rtol=0)
        for number in range(50):
            pair = Rotation.from_matrix(torch.stack((first[number], second[number])).numpy())
            torch.testing.assert_close(mean[number], torch.tensor(pair.mean().as_matrix()), atol=1e-6, rtol=0)

    def test_of_equal_rotations_and_across_the_half_turn_where_axis_angles_would_cancel(self):
        rotations = random_rotations(20).float()
        torch.testing.assert_close(mean_rotation(rotations, rotations), rotations, atol=1e-5, rtol=0)
        near = torch.tensor([[3.1, 0.0, 0.0], [-3.1, 0.0, 0.0]], dtype=torch.float64)
        mean = mean_rotation(*axis_angle_to_matrix(near))
        assert rotation_angle(mean) == pytest.approx(torch.pi, abs=1e-6)


HARD_ANGLES = (0.0, 1e-30, 1e-8, 1e-4, 0.5, 3 * np.pi / 4, np.pi - 1e-6, np.pi)


def hard_vectors() -> torch.Tensor:
    """Axis-angle (N, 3) float64 at and near the angles where formulas break, and random ones."""
    drawn = torch.tensor(Rotation.random(500, random_state=8).as_rotvec())
    return torch.cat([axes(torch.float64) * angle for angle in HARD_ANGLES] + [drawn])


def up_to_sign(quaternion: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return torch.where((quaternion * like).sum(-1, keepdim=True) < 0, -quaternion, quaternion)


class TestAgainstScipyAndRoma:
    """In float64 exact to rounding at every angle; in float32 no worse than roma."""

    def test_matrices_and_quaternions(self):
        vectors = hard_vectors()
        expected = Rotation.from_rotvec(vectors.numpy())
        matrices, quaternions = torch.tensor(expected.as_matrix()), torch.tensor(expected.as_quat())
        close = {"atol": 2e-15, "rtol": 0}
        torch.testing.assert_close(axis_angle_to_matrix(vectors), matrices, **close)
        torch.testing.assert_close(axis_angle_to_quaternion(vectors), quaternions, **close)
        torch.testing.assert_close(quaternion_to_matrix(quaternions), matrices, **close)
        torch.testing.assert_close(up_to_sign(matrix_to_quaternion(matrices), quaternions), quaternions, **close)

    def test_matrix_to_axis_angle(self):
        matrices = torch.tensor(Rotation.from_rotvec(hard_vectors().numpy()).as_matrix())
        expected = torch.tensor(Rotation.from_matrix(matrices.numpy()).as_rotvec())
        found = matrix_to_axis_angle(matrices)
        # At half a turn, an axis and its opposite are one rotation.
        is_half = expected.norm(dim=-1, keepdim=True) > np.pi - 1e-12
        found = torch.where(is_half, up_to_sign(found, expected), found)
        torch.testing.assert_close(found, expected, atol=1e-14, rtol=0)
        torch.testing.assert_close(matrix_to_axis_angle(matrices), roma.rotmat_to_rotvec(matrices), atol=1e-14, rtol=0)

    @pytest.mark.parametrize(
        ("ours", "romas", "form"),
        [
            (axis_angle_to_matrix, roma.rotvec_to_rotmat, "rotvec"),
            (axis_angle_to_quaternion, roma.rotvec_to_unitquat, "rotvec"),
            (quaternion_to_matrix, roma.unitquat_to_rotmat, "quat"),
            (matrix_to_quaternion, roma.rotmat_to_unitquat, "matrix"),
            (matrix_to_axis_angle, roma.rotmat_to_rotvec, "matrix"),
        ],
    )
    def test_float32_is_no_less_exact_than_romas(self, ours, romas, form):
        rotations = Rotation.from_rotvec(hard_vectors().numpy())
        given = torch.tensor(getattr(rotations, f"as_{form}")()).float()
        exact = romas(given.double())
        mine, theirs = ((function(given).double() - exact).flatten(1).norm(dim=-1) for function in (ours, romas))
        assert ours(given).dtype == torch.float32
        assert mine.mean() <= 1.02 * theirs.mean()
        assert mine.max() <= 1.2 * theirs.max()

    def test_slopes_at_the_identity(self):
        zero = torch.zeros(3, dtype=torch.float64)
        slopes = torch.autograd.functional.jacobian(axis_angle_to_matrix, zero)
        for axis in range(3):
            # The derivative along an axis is the cross product with it.
            unit = torch.eye(3, dtype=torch.float64)[axis]
            crossed = torch.linalg.cross(unit.expand(3, 3), torch.eye(3, dtype=torch.float64)).mT
            torch.testing.assert_close(slopes[..., axis], crossed)
        back = torch.autograd.functional.jacobian(lambda v: matrix_to_axis_angle(axis_angle_to_matrix(v)), zero)
        torch.testing.assert_close(back, torch.eye(3, dtype=torch.float64))


class TestEulerAngles:
    def test_against_scipy(self):
        rotations = Rotation.random(500, random_state=9)
        found = matrix_to_euler_zxy(torch.tensor(rotations.as_matrix()))
        torch.testing.assert_close(found, torch.tensor(rotations.as_euler("ZXY")), atol=1e-12, rtol=0)

    @pytest.mark.parametrize("x", [np.pi / 2, -np.pi / 2, np.pi / 2 - 1e-9, np.pi / 2 - 1e-5])
    def test_where_two_axes_are_one(self, x):
        turned = Rotation.from_euler("ZXY", [[z, x, y] for z in (-3.0, 0.0, 1.2) for y in (-2.0, 0.0, 0.7)])
        found = matrix_to_euler_zxy(torch.tensor(turned.as_matrix()))
        assert found.isfinite().all()
        assert (Rotation.from_euler("ZXY", found.numpy()).inv() * turned).magnitude().max() < 1e-7
        if abs(x) > np.pi / 2 - 1e-8:
            assert (found[:, 2] == 0).all()


class TestSlerp:
    @pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
    def test_is_the_even_way_that_roma_goes(self, share):
        first, second = (matrix_to_quaternion(random_rotations(20, seed)) for seed in (0, 1))
        found = slerp(first, second, torch.full((20,), share, dtype=torch.float64))
        expected = roma.unitquat_slerp(first, second, torch.tensor([share], dtype=torch.float64), shortest_arc=True)[0]
        assert (found * expected).sum(-1).abs().min() == pytest.approx(1, abs=1e-12)

    @pytest.mark.parametrize("angle", [0.0, 1e-9, 1e-4, np.pi - 1e-4, np.pi])
    @pytest.mark.parametrize("sign", [1.0, -1.0])
    def test_finite_gradients_where_the_two_are_near_or_opposite(self, angle, sign):
        axis = torch.tensor([[0.6, 0.0, 0.8]])
        first = axis_angle_to_quaternion(axis * 0.5).requires_grad_()
        second = (sign * axis_angle_to_quaternion(axis * (0.5 + angle))).requires_grad_()
        found = slerp(first, second, torch.tensor([0.25]))
        expected = axis_angle_to_quaternion(axis * (0.5 + 0.25 * angle))
        if angle < np.pi:
            assert (found * expected).sum().abs().item() == pytest.approx(1, abs=1e-6)
        found.sum().backward()
        for quaternion in (first, second):
            assert quaternion.grad.isfinite().all() and quaternion.grad.abs().max() < 10
