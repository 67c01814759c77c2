"use strict";
// Axes: metres, y up; a camera's place is three rows of four numbers, from its axes (x right, y down, z forward) to these.
const content = JSON.parse(document.getElementById("content").textContent);
const bytes = Uint8Array.from(atob(content.data), (letter) => letter.charCodeAt(0));
const arrayTypes = { uint8: Uint8Array, uint16: Uint16Array, int16: Int16Array, int32: Int32Array, float32: Float32Array };
const unpack = ({ type, offset, length }) => new arrayTypes[type](bytes.buffer, offset, length);
const element = (id) => document.getElementById(id);
const lastFrame = Math.max(0, content.frameCount - 1);
const bones = content.parents.length;
const skinJoints = unpack(content.joints), skinWeights = unpack(content.weights);
const people = content.people.map((packed) => {
  const person = { name: packed.name, color: packed.color, extent: packed.extent, isShown: true };
  for (const key of ["vertices", "normals", "restJoints", "offsets", "frames", "interpolated", "quaternions", "roots", "contacts"]) {
    person[key] = unpack(packed[key]);
  }
  person.rowOfFrame = new Int32Array(content.frameCount).fill(-1);
  person.frames.forEach((frame, row) => { person.rowOfFrame[frame] = row; });
  return person;
});

// ---- geometry ----
const subtract = (a, b) => a.map((value, i) => value - b[i]);
const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const normalize = (a) => { const length = Math.hypot(...a) || 1; return a.map((value) => value / length); };

/** Skinning matrices of one row, three rows of four numbers a bone. */
function boneRows(person, row, out) {
  const world = new Float32Array(12 * bones);
  for (let bone = 0; bone < bones; bone++) {
    const q = 4 * (row * bones + bone);
    const [x, y, z, w] = normalize(Array.from(person.quaternions.subarray(q, q + 4)));
    const local = [
      1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w), person.offsets[3 * bone],
      2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w), person.offsets[3 * bone + 1],
      2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y), person.offsets[3 * bone + 2],
    ];
    const parent = 12 * content.parents[bone];
    for (let i = 0; i < 3; i++) {
      for (let j = 0; j < 4; j++) {
        let value;
        if (bone === 0) {
          value = j < 3 ? local[4 * i + j] : person.roots[3 * row + i];
        } else {
          value = j < 3 ? 0 : world[parent + 4 * i + 3];
          for (let k = 0; k < 3; k++) value += world[parent + 4 * i + k] * local[4 * k + j];
        }
        world[12 * bone + 4 * i + j] = value;
      }
    }
  }
  for (let bone = 0; bone < bones; bone++) {
    for (let i = 0; i < 3; i++) {
      const at = 12 * bone + 4 * i;
      let moved = world[at + 3];
      for (let k = 0; k < 3; k++) { out[at + k] = world[at + k]; moved -= world[at + k] * person.restJoints[3 * bone + k]; }
      out[at + 3] = moved;
    }
  }
}

/** Where a person touches something in one row: x, y, z of each mark. */
function contactPlaces(person, row, bones) {
  const places = [];
  content.contactVertices.forEach((vertex, n) => {
    if (person.contacts[row * content.contactVertices.length + n] < 128) return;
    for (let i = 0; i < 3; i++) {
      let value = 0;
      for (let k = 0; k < 4; k++) {
        const at = 12 * skinJoints[4 * vertex + k] + 4 * i, share = (skinWeights[4 * vertex + k] / 255) * (person.extent / 32767);
        for (let j = 0; j < 3; j++) value += share * bones[at + j] * person.vertices[4 * vertex + j];
        value += (skinWeights[4 * vertex + k] / 255) * bones[at + 3];
      }
      places.push(value);
    }
  });
  return places;
}

/** Column-major projection times view. */
function projectionView(eye, target, up, fov, aspect, near, far) {
  const back = normalize(subtract(eye, target)), right = normalize(cross(up, back)), top = cross(back, right);
  const f = 1 / Math.tan(fov / 2), a = (far + near) / (near - far), b = (2 * far * near) / (near - far);
  const rows = [right, top, back].map((axis) => [...axis, -dot(axis, eye)]);
  const out = new Float32Array(16);
  for (let c = 0; c < 4; c++) {
    out[4 * c] = (f / aspect) * rows[0][c];
    out[4 * c + 1] = f * rows[1][c];
    out[4 * c + 2] = a * rows[2][c] + (c === 3 ? b : 0);
    out[4 * c + 3] = -rows[2][c];
  }
  return out;
}

// ---- drawing ----
const canvas = element("scene");
const gl = canvas.getContext("webgl2", { antialias: true, stencil: true, alpha: false });

const bodyShader = [`#version 300 es
uniform mat4 projectionView; uniform vec4 bones[${3 * bones}]; uniform float extent, floorHeight; uniform bool isShadow;
layout(location = 0) in vec3 vertex; layout(location = 1) in vec3 normal;
layout(location = 2) in uvec4 joints; layout(location = 3) in vec4 weights;
out vec3 surfaceNormal; out vec3 place;
void main() {
  vec4 rows[3];
  for (int i = 0; i < 3; i++) {
    rows[i] = weights.x * bones[3 * int(joints.x) + i] + weights.y * bones[3 * int(joints.y) + i]
            + weights.z * bones[3 * int(joints.z) + i] + weights.w * bones[3 * int(joints.w) + i];
  }
  vec4 rest = vec4(vertex * extent, 1.0);
  place = vec3(dot(rows[0], rest), dot(rows[1], rest), dot(rows[2], rest));
  surfaceNormal = vec3(dot(rows[0].xyz, normal), dot(rows[1].xyz, normal), dot(rows[2].xyz, normal));
  if (isShadow) place = vec3(place.xz - vec2(-0.35, 0.3) * (place.y - floorHeight), floorHeight + 0.002).xzy;
  gl_Position = projectionView * vec4(place, 1.0);
}`, `#version 300 es
precision highp float;
uniform vec3 color, eye; uniform bool isShadow;
in vec3 surfaceNormal; in vec3 place; out vec4 shown;
void main() {
  if (isShadow) { shown = vec4(0.16, 0.19, 0.25, 0.16); return; }
  vec3 n = normalize(surfaceNormal), toEye = normalize(eye - place), key = normalize(vec3(-0.45, 0.75, 0.6));
  float light = 0.32 + 0.55 * clamp((dot(n, key) + 0.25) / 1.25, 0.0, 1.0)
              + 0.14 * clamp(dot(n, normalize(vec3(0.85, 0.1, -0.5))), 0.0, 1.0) + 0.12 * (0.5 + 0.5 * n.y)
              + 0.1 * clamp(dot(n, toEye), 0.0, 1.0);
  shown = vec4(color * light, 1.0);
}`];
const floorShader = [`#version 300 es
uniform mat4 projectionView; uniform vec3 centre; uniform float reach;
layout(location = 0) in vec2 corner; out vec2 place;
void main() { place = centre.xz + corner * reach; gl_Position = projectionView * vec4(place.x, centre.y, place.y, 1.0); }`,
`#version 300 es
precision highp float;
uniform vec3 centre; uniform float reach; in vec2 place; out vec4 shown;
float lines(float spacing) {
  vec2 at = place / spacing, width = fwidth(at);
  vec2 line = 1.0 - smoothstep(0.5 * width, 1.5 * width, abs(fract(at - 0.5) - 0.5));
  return max(line.x, line.y) * clamp(0.35 / max(width.x, width.y), 0.0, 1.0);
}
void main() {
  float fade = 1.0 - smoothstep(0.25, 0.95, length(place - centre.xz) / reach);
  shown = vec4(0.45, 0.5, 0.6, fade * max(0.42 * lines(1.0), 0.13 * lines(0.25)));
}`];

function buildProgram(sources) {
  const program = gl.createProgram();
  [gl.VERTEX_SHADER, gl.FRAGMENT_SHADER].forEach((kind, i) => {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, sources[i]);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  });
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS) && !gl.isContextLost()) throw new Error(gl.getProgramInfoLog(program));
  return { program, at: new Proxy({}, { get: (_, name) => gl.getUniformLocation(program, name) }) };
}

function uploadBuffer(kind, values) {
  const buffer = gl.createBuffer();
  gl.bindBuffer(kind, buffer);
  gl.bufferData(kind, values, gl.STATIC_DRAW);
  return buffer;
}

const markShader = [`#version 300 es
uniform mat4 projectionView; uniform float size; layout(location = 0) in vec3 place;
void main() { gl_Position = projectionView * vec4(place, 1.0); gl_PointSize = size; }`, `#version 300 es
precision highp float;
out vec4 shown;
void main() {
  float radius = length(gl_PointCoord - 0.5);
  if (radius > 0.5) discard;
  shown = radius > 0.36 ? vec4(1.0, 1.0, 1.0, 1.0) : vec4(0.85, 0.2, 0.15, 1.0);
}`];

let bodyProgram, floorProgram, floorArray, markProgram, markArray, markBuffer;
function setUpGraphics() {
  bodyProgram = buildProgram(bodyShader);
  floorProgram = buildProgram(floorShader);
  floorArray = gl.createVertexArray();
  gl.bindVertexArray(floorArray);
  uploadBuffer(gl.ARRAY_BUFFER, new Float32Array([-1, -1, 1, -1, -1, 1, 1, 1]));
  gl.enableVertexAttribArray(0);
  gl.vertexAttribPointer(0, 2, gl.FLOAT, false, 0, 0);
  const joints = uploadBuffer(gl.ARRAY_BUFFER, skinJoints);
  const weights = uploadBuffer(gl.ARRAY_BUFFER, skinWeights);
  markProgram = buildProgram(markShader);
  markArray = gl.createVertexArray();
  gl.bindVertexArray(markArray);
  markBuffer = uploadBuffer(gl.ARRAY_BUFFER, new Float32Array(3));
  gl.enableVertexAttribArray(0);
  gl.vertexAttribPointer(0, 3, gl.FLOAT, false, 0, 0);
  gl.bindVertexArray(null);
  const faces = uploadBuffer(gl.ELEMENT_ARRAY_BUFFER, unpack(content.faces));
  for (const person of people) {
    person.array = gl.createVertexArray();
    gl.bindVertexArray(person.array);
    [person.vertices, person.normals].forEach((values, place) => {
      uploadBuffer(gl.ARRAY_BUFFER, values);
      gl.vertexAttribPointer(place, 3, gl.SHORT, true, 8, 0);
    });
    gl.bindBuffer(gl.ARRAY_BUFFER, joints);
    gl.vertexAttribIPointer(2, 4, gl.UNSIGNED_BYTE, 4, 0);
    gl.bindBuffer(gl.ARRAY_BUFFER, weights);
    gl.vertexAttribPointer(3, 4, gl.UNSIGNED_BYTE, true, 4, 0);
    for (let place = 0; place < 4; place++) gl.enableVertexAttribArray(place);
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, faces);
  }
  gl.clearColor(0.965, 0.968, 0.975, 1);
  gl.enable(gl.DEPTH_TEST);
  gl.blendFunc(gl.SRC_ALPHA, gl.ONE_MINUS_SRC_ALPHA);
}

// ---- what is looked at ----
/** Middle and half extent of everybody's path. */
function surroundings() {
  const low = [Infinity, Infinity, Infinity], high = [-Infinity, -Infinity, -Infinity];
  for (const { roots } of people) {
    for (let i = 0; i < roots.length; i++) {
      low[i % 3] = Math.min(low[i % 3], roots[i]);
      high[i % 3] = Math.max(high[i % 3], roots[i]);
    }
  }
  if (low[0] > high[0]) return { middle: [0, 0, -3], radius: 1.2 };
  return { middle: low.map((value, i) => (value + high[i]) / 2), radius: 1 + Math.hypot(...subtract(high, low)) / 2 };
}
const around = surroundings();
const aspect = () => canvas.clientWidth / Math.max(1, canvas.clientHeight);
const floorCentre = [around.middle[0], content.floor, around.middle[2]];
const freeFov = 0.6;
const view = {};
function look(yaw, pitch) {
  const distance = (0.8 * around.radius) / Math.tan(freeFov / 2) / Math.min(1, aspect());
  Object.assign(view, { yaw, pitch, distance, fov: freeFov, target: [...around.middle], fixed: null });
  draw();
}
const views = {
  "view-free": () => look(0.5, 0.3),
  "view-side": () => look(-Math.PI / 2, 0.05),
  "view-top": () => look(0, 1.55),
  "view-camera": () => { lookThroughCamera(); draw(); },
};
const cameraPlaces = unpack(content.camera.places);
/** From where the video was taken; a principal point beside the picture's middle turns the view a little. */
function lookThroughCamera() {
  const { focal, centre, size } = content.camera, row = 12 * Math.min(frame, cameraPlaces.length / 12 - 1);
  const place = cameraPlaces.subarray(row, row + 12), eye = [place[3], place[7], place[11]];
  const turn = (v) => [0, 4, 8].map((at) => place[at] * v[0] + place[at + 1] * v[1] + place[at + 2] * v[2]);
  const ahead = normalize(turn([(size[0] / 2 - centre[0]) / focal, (size[1] / 2 - centre[1]) / focal, 1]));
  const depth = Math.max(0.5, dot(subtract(around.middle, eye), ahead)), target = eye.map((value, i) => value + depth * ahead[i]);
  const halfHeight = Math.max(size[1], size[0] / aspect()) / 2;  // all of the picture is in view
  const yaw = Math.atan2(-ahead[0], -ahead[2]), pitch = Math.asin(Math.max(-1, Math.min(1, -ahead[1])));
  Object.assign(view, { yaw, pitch, distance: depth, fov: 2 * Math.atan(halfHeight / focal), target, fixed: turn([0, -1, 0]) });
}
function eyePosition() {
  const flat = view.distance * Math.cos(view.pitch);
  const offset = [flat * Math.sin(view.yaw), view.distance * Math.sin(view.pitch), flat * Math.cos(view.yaw)];
  return view.target.map((value, i) => value + offset[i]);
}

let frame = 0, isPending = false;
function draw() {
  if (isPending) return;
  isPending = true;
  requestAnimationFrame(() => { isPending = false; drawNow(); });
}
/** Seen through bodies, since soles hide what they touch. */
function drawMarks(matrix, places) {
  gl.disable(gl.DEPTH_TEST);
  gl.useProgram(markProgram.program);
  gl.uniformMatrix4fv(markProgram.at.projectionView, false, matrix);
  gl.uniform1f(markProgram.at.size, 10 * Math.min(window.devicePixelRatio || 1, 2));
  gl.bindVertexArray(markArray);
  gl.bindBuffer(gl.ARRAY_BUFFER, markBuffer);
  gl.bufferData(gl.ARRAY_BUFFER, new Float32Array(places), gl.DYNAMIC_DRAW);
  gl.drawArrays(gl.POINTS, 0, places.length / 3);
  gl.enable(gl.DEPTH_TEST);
}
const rowsOut = new Float32Array(12 * bones);
function drawNow() {
  if (!gl || gl.isContextLost()) return;
  const ratio = Math.min(window.devicePixelRatio || 1, 2);
  const width = Math.max(1, Math.round(canvas.clientWidth * ratio)), height = Math.max(1, Math.round(canvas.clientHeight * ratio));
  if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
  gl.viewport(0, 0, width, height);
  gl.depthMask(true);
  gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT | gl.STENCIL_BUFFER_BIT);
  const eye = eyePosition(), near = Math.max(0.02, view.distance * 0.02);
  const matrix = projectionView(eye, view.target, view.fixed || [0, 1, 0], view.fov, width / height, near, view.distance * 4 + 60);

  gl.enable(gl.BLEND);
  gl.depthMask(false);
  gl.useProgram(floorProgram.program);
  gl.uniformMatrix4fv(floorProgram.at.projectionView, false, matrix);
  gl.uniform3fv(floorProgram.at.centre, floorCentre);
  gl.uniform1f(floorProgram.at.reach, around.radius * 2 + 3);
  gl.bindVertexArray(floorArray);
  gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);

  const { program, at } = bodyProgram;
  gl.useProgram(program);
  gl.uniformMatrix4fv(at.projectionView, false, matrix);
  gl.uniform3fv(at.eye, eye);
  gl.uniform1f(at.floorHeight, content.floor);
  const touched = [];
  // Shadows first, each pixel darkened once; none is seen from below the floor.
  for (const isShadow of eye[1] > content.floor ? [true, false] : [false]) {
    gl.uniform1i(at.isShadow, isShadow);
    gl.depthMask(!isShadow);
    (isShadow ? gl.enable : gl.disable).call(gl, gl.BLEND);
    (isShadow ? gl.enable : gl.disable).call(gl, gl.STENCIL_TEST);
    gl.stencilFunc(gl.EQUAL, 0, 255);
    gl.stencilOp(gl.KEEP, gl.KEEP, gl.INCR);
    for (const person of people) {
      const row = person.rowOfFrame[frame];
      if (row < 0 || !person.isShown) continue;
      boneRows(person, row, rowsOut);
      if (!isShadow && person.contacts.length) touched.push(...contactPlaces(person, row, rowsOut));
      gl.uniform4fv(at.bones, rowsOut);
      gl.uniform1f(at.extent, person.extent);
      gl.uniform3fv(at.color, person.color);
      gl.bindVertexArray(person.array);
      gl.drawElements(gl.TRIANGLES, content.faces.length, gl.UNSIGNED_SHORT, 0);
    }
  }
  if (touched.length && element("contacts").checked) drawMarks(matrix, touched);
}
