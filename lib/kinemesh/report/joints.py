"""Each joint's error as a bar beside the joint, on a drawn skeleton seen from the front."""

from kinemesh.body.skeleton import H36M_JOINT_NAMES, LIMBS, SIDES, SMPL_JOINT_NAMES, SMPL_PARENTS
from kinemesh.report.style import svg

# Heights of joints in a standing figure, and how far from the middle; the person's left is on the right.
_MIDDLE = {
    "head_top": 10, "nose": 38, "head": 30, "neck": 66, "thorax": 78, "spine3": 112, "spine2": 142, "spine": 140,
    "spine1": 172, "pelvis": 200,
}  # fmt: skip
_LIMBS = {
    "collar": (18, 82), "shoulder": (44, 88), "elbow": (66, 140), "wrist": (84, 190), "hand": (90, 212),
    "hip": (24, 208), "knee": (30, 292), "ankle": (33, 372), "foot": (42, 390),
}  # fmt: skip
_WIDTH, _HEIGHT, _CENTRE, _LONGEST_BAR, _ROW = 520, 410, 260, 130, 34


def joint_bars(errors_mm: dict[str, float]) -> str:
    """`errors_mm` by joint name, all of H36M's or SMPL's joints; a root that is 0 by definition has no bar."""
    names = H36M_JOINT_NAMES if set(errors_mm) == set(H36M_JOINT_NAMES) else SMPL_JOINT_NAMES
    bones = LIMBS if names is H36M_JOINT_NAMES else [(p, j) for j, p in enumerate(SMPL_PARENTS) if p >= 0]
    places = {name: _place(name) for name in names}
    drawn = "".join(
        '<line class="bone" x1="{0[0]}" y1="{0[1]}" x2="{1[0]}" y2="{1[1]}"/>'.format(
            places[names[parent]], places[names[child]]
        )
        for parent, child in bones
    )
    largest = max(errors_mm.values()) or 1.0
    columns: dict[bool, list[str]] = {True: [], False: []}  # on the right of the picture or not
    shown = [name for name in names if errors_mm[name] > 1e-6 * largest]
    for name in sorted(shown, key=lambda name: places[name][1]):
        side = places[name][0] > _CENTRE
        if places[name][0] == _CENTRE:
            side = len(columns[True]) <= len(columns[False])
        columns[side].append(name)
    for is_right, column in columns.items():
        for name, y in zip(column, _spread([places[name][1] for name in column]), strict=True):
            drawn += _bar(name, places[name], y, is_right, errors_mm[name] / largest, f"{errors_mm[name]:.0f} mm")
    return svg(_WIDTH, _HEIGHT, drawn)


def _place(name: str) -> tuple[float, float]:
    side, _, part = name.partition("_")
    if side in SIDES:
        across, down = _LIMBS[part]
        return _CENTRE + (across if side == "left" else -across), down
    return _CENTRE, _MIDDLE[name]


def _spread(heights: list[float]) -> list[float]:
    """Rows for labels near these heights, in order, none on top of another and all inside the picture."""
    rows: list[float] = []
    for height in heights:
        rows.append(max(height, rows[-1] + _ROW) if rows else max(height, _ROW / 2))
    overflow = max(rows[-1] - (_HEIGHT - _ROW / 2), 0) if rows else 0
    limit = _HEIGHT - _ROW / 2
    for place in range(len(rows) - 1, -1, -1):
        rows[place] = min(rows[place], limit) if overflow else rows[place]
        limit = rows[place] - _ROW
    return rows


def _bar(name: str, joint: tuple[float, float], y: float, is_right: bool, share: float, value: str) -> str:
    direction = 1 if is_right else -1
    start = _CENTRE + direction * 122
    length = max(share * _LONGEST_BAR, 1.5)
    x = start if is_right else start - length
    track = start if is_right else start - _LONGEST_BAR
    anchor = "start" if is_right else "end"
    red, green, blue = (round(a + (b - a) * share) for a, b in zip((120, 160, 205), (208, 84, 52), strict=True))
    color = f"rgb({red},{green},{blue})"
    label = name.replace("_", " ")
    return (
        f'<line class="lead" x1="{joint[0]}" y1="{joint[1]}" x2="{start - direction * 6}" y2="{y + 3:.1f}"/>'
        f'<circle cx="{joint[0]}" cy="{joint[1]}" r="{4 + 4 * share:.1f}" fill="{color}"/>'
        f'<rect class="track" x="{track:.1f}" y="{y - 1:.1f}" width="{_LONGEST_BAR}" height="8" rx="3"/>'
        f'<rect x="{x:.1f}" y="{y - 1:.1f}" width="{length:.1f}" height="8" rx="3" fill="{color}"/>'
        f'<text x="{start}" y="{y - 6:.1f}" text-anchor="{anchor}"><tspan class="strong" fill="var(--text)">{value}</tspan> {label}</text>'
    )
