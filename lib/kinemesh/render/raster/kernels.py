"""The nearest triangle at every place of a picture, and what colour that gives each pixel.

Each pixel is looked at in S places. Of one such place in all pixels of a row, those between two columns lie within a triangle.
"""

import math

import numpy as np

from kinemesh.render.raster.compiled import compiled

# Of a pixel: places this near outside an edge count as inside, so that rounding opens no crack between neighbours.
_TOLERANCE = 1e-6
# An edge that rises less bounds no row; the corners do.
_LEAST_RISE = 1e-9


@compiled
def lay_faces(mesh, corner, near, seen, spans):
    """Lay triangles on a part of a picture, the nearest above; those that turn away or reach behind the camera are left out.

    Args:
        mesh: a `kinemesh.render.rasterizer.Projected`.
        corner: (2,) the part's first row and column.
        near: (rows, S, columns) float32 of what is seen; -inf at first.
        seen: (rows, S, columns) int32, the face; -1 at first.
        spans: (rows, 2) int32, the columns from and to which, exclusive, anything is seen; columns and 0 at first.
    """
    x, y, nearness, faces, offsets = mesh
    rows, places, columns = near.shape
    least_down, most_down = offsets[0].min(), offsets[0].max()
    # An edge is a column in the part's first row, and its slope; on each side there are one or two.
    left, right = np.empty((2, 2)), np.empty((2, 2))
    for face in range(len(faces)):
        i, j, k = faces[face]
        x0, x1, x2 = x[i] - corner[1], x[j] - corner[1], x[k] - corner[1]
        y0, y1, y2 = y[i] - corner[0], y[j] - corner[0], y[k] - corner[0]
        z0, z1, z2 = nearness[i], nearness[j], nearness[k]
        area = (x1 - x0) * (y2 - y0) - (y1 - y0) * (x2 - x0)
        if not (area < 0 and math.isfinite(area) and math.isfinite(z0 + z1 + z2)):
            continue
        top, bottom = min(y0, y1, y2) - _TOLERANCE, max(y0, y1, y2) + _TOLERANCE
        first_row = math.ceil(max(top - most_down, 0.0))
        last_row = math.floor(min(bottom - least_down, rows - 1.0))
        if first_row > last_row or max(x0, x1, x2) < 0 or min(x0, x1, x2) > columns:
            continue
        left[:, 0], right[:, 0] = min(x0, x1, x2) - _TOLERANCE, max(x0, x1, x2) + _TOLERANCE
        left[:, 1], right[:, 1] = 0, 0
        left_count = right_count = 0
        for x_from, y_from, x_to, y_to in ((x0, y0, x1, y1), (x1, y1, x2, y2), (x2, y2, x0, y0)):
            rise = y_to - y_from
            if abs(rise) < _LEAST_RISE:
                continue
            slope = (x_to - x_from) / rise
            reach = _TOLERANCE * (1 + abs(slope))
            if rise > 0:
                left[left_count, 0], left[left_count, 1] = x_from - y_from * slope - reach, slope
                left_count += 1
            else:
                right[right_count, 0], right[right_count, 1] = x_from - y_from * slope + reach, slope
                right_count += 1
        across_j, down_j = (y2 - y0) / area, (x0 - x2) / area
        across_k, down_k = (y0 - y1) / area, (x1 - x0) / area
        rise_across = (z1 - z0) * across_j + (z2 - z0) * across_k
        rise_down = (z1 - z0) * down_j + (z2 - z0) * down_k
        lowest, highest = np.float32(min(z0, z1, z2)), np.float32(max(z0, z1, z2))
        for row in range(first_row, last_row + 1):
            for place in range(places):
                below, aside = row + offsets[0, place], offsets[1, place]
                if below < top or below > bottom:
                    continue
                low = max(left[0, 0] + left[0, 1] * below, left[1, 0] + left[1, 1] * below) - aside
                high = min(right[0, 0] + right[0, 1] * below, right[1, 0] + right[1, 1] * below) - aside
                first, end = math.ceil(max(low, 0.0)), math.floor(min(high, columns - 1.0)) + 1
                if first >= end:
                    continue
                level = z0 + (below - y0) * rise_down + (aside - x0) * rise_across
                for column in range(first, end):
                    # Nowhere beyond the corners': a sliver's slope is steep.
                    here = min(max(np.float32(level + column * rise_across), lowest), highest)
                    if here > near[row, place, column]:
                        near[row, place, column] = here
                        seen[row, place, column] = face
                spans[row, 0], spans[row, 1] = min(spans[row, 0], first), max(spans[row, 1], end)


@compiled
def clear(near, seen, spans):
    """Make these as they were before anything was laid."""
    for row in range(len(spans)):
        near[row, :, spans[row, 0] : spans[row, 1]] = -np.inf
        seen[row, :, spans[row, 0] : spans[row, 1]] = -1
        spans[row, 0], spans[row, 1] = near.shape[2], 0


@compiled
def color_planes(mesh, lit, planes):
    """How colours change over each face that looks here.

    Args:
        mesh: a `kinemesh.render.rasterizer.Projected`.
        lit: (V, channels) float32, the vertices' colours.
        planes: (F, 2 + 3 * channels) float32, written: the first corner, then of each channel its value there and its
            rise a column and a row.
    """
    x, y, _, faces, _ = mesh
    for face in range(len(faces)):
        i, j, k = faces[face]
        area = (x[j] - x[i]) * (y[k] - y[i]) - (y[j] - y[i]) * (x[k] - x[i])
        if not area < 0:
            continue
        across_j, down_j = (y[k] - y[i]) / area, (x[i] - x[k]) / area
        across_k, down_k = (y[i] - y[j]) / area, (x[j] - x[i]) / area
        planes[face, 0], planes[face, 1] = x[i], y[i]
        for channel in range(lit.shape[1]):
            one = lit[i, channel]
            rise_j, rise_k = lit[j, channel] - one, lit[k, channel] - one
            planes[face, 2 + 3 * channel] = one
            planes[face, 3 + 3 * channel] = rise_j * across_j + rise_k * across_k
            planes[face, 4 + 3 * channel] = rise_j * down_j + rise_k * down_k


@compiled
def paint(planes, limits, offsets, part, colors, coverage):
    """The mean colour of each pixel's places, as far as anything is seen there.

    Args:
        planes: of `color_planes`.
        limits: (2, channels) float32, the least and the greatest of all vertices: a sliver's slope is steep.
        offsets: (2, S) of a `kinemesh.render.rasterizer.Projected`.
        part: a `kinemesh.render.rasterizer.Seen`.
        colors: (channels, rows, columns) float32, added to: the mean over places, 0 where nothing is seen.
        coverage: (rows, columns) float32, added to: the share of places that see anything.
    """
    corner, seen, spans = part
    rows, places = seen.shape[:2]
    channels = limits.shape[1]
    share, middle = np.float32(1 / places), (offsets[0].mean(), offsets[1].mean())
    for row in range(rows):
        for column in range(spans[row, 0], spans[row, 1]):
            first = seen[row, 0, column]
            is_one = True
            for place in range(1, places):
                is_one &= seen[row, place, column] == first
            for place in range(1 if is_one else places):
                face = seen[row, place, column]
                if face < 0:
                    continue
                down, across = middle if is_one else (offsets[0, place], offsets[1, place])
                weight = np.float32(1) if is_one else share
                right = np.float32(column + corner[1] + across) - planes[face, 0]
                below = np.float32(row + corner[0] + down) - planes[face, 1]
                for channel in range(channels):
                    at = 2 + 3 * channel
                    here = planes[face, at] + right * planes[face, at + 1] + below * planes[face, at + 2]
                    colors[channel, row, column] += weight * min(max(here, limits[0, channel]), limits[1, channel])
                coverage[row, column] += weight


@compiled
def blend(plane, colors, coverage, spans):
    """Lay colours (rows, columns) float32, times the coverage, on a plane (rows or more, columns or more) of bytes."""
    for row in range(len(spans)):
        for column in range(spans[row, 0], spans[row, 1]):
            hidden = coverage[row, column]
            if hidden > 0:
                plane[row, column] = np.rint(colors[row, column] + (1 - hidden) * plane[row, column])


@compiled
def blend_shared(plane, colors, coverage, spans):
    """The same on a plane of which each byte is of 2 x 2 pixels."""
    rows, columns = coverage.shape
    for row in range(0, rows, 2):
        last = min(row + 1, rows - 1)
        first, end = min(spans[row, 0], spans[last, 0]), max(spans[row, 1], spans[last, 1])
        for column in range(first // 2, (end + 1) // 2):
            color = hidden = np.float32(0)
            for own_row in range(row, last + 1):
                for own_column in range(2 * column, min(2 * column + 2, columns)):
                    color += colors[own_row, own_column]
                    hidden += coverage[own_row, own_column]
            if hidden > 0:
                plane[row // 2, column] = np.rint(color / 4 + (1 - hidden / 4) * plane[row // 2, column])
