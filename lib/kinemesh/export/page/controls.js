// ---- time ----
let isPlaying = false, startedAt = 0, startedFrame = 0;
function timeOf(number) { return content.times ? content.times[number] : number / content.fps; }
function frameAt(seconds) {
  let first = 0, last = lastFrame;
  while (first < last) {
    const middle = Math.ceil((first + last) / 2);
    if (timeOf(middle) <= seconds + 1e-6) first = middle; else last = middle - 1;
  }
  return first;
}
function showFrame(number) {
  frame = Math.min(lastFrame, Math.max(0, number));
  const seconds = timeOf(frame).toFixed(2);
  element("frame").value = frame;
  element("frame").setAttribute("aria-valuetext", `frame ${frame} of ${lastFrame}, ${seconds} seconds`);
  element("counter").textContent = `frame ${frame} / ${lastFrame} \u00b7 ${seconds} s`;
  people.forEach((person) => person.label.classList.toggle("absent", person.rowOfFrame[frame] < 0));
  if (view.fixed) lookThroughCamera();
  draw();
}
function play(shouldPlay) {
  isPlaying = shouldPlay;
  element("play").textContent = isPlaying ? "Pause" : "Play";
  if (!isPlaying) return;
  startedAt = performance.now();
  startedFrame = frame >= lastFrame ? 0 : frame;
  requestAnimationFrame(advance);
}
function advance(now) {
  if (!isPlaying) return;
  const passed = (Math.max(0, now - startedAt) / 1000) * Number(element("speed").value);
  const number = frameAt((timeOf(startedFrame) + passed) % (timeOf(lastFrame) + 1 / content.fps));
  if (number !== frame) showFrame(number);
  requestAnimationFrame(advance);
}
function step(count) { play(false); showFrame(frame + count); }

/** Who is there when: a stripe a person, faint where frames were interpolated. */
function drawTimeline() {
  const strip = element("timeline"), stripe = 6, width = strip.clientWidth || 1;
  strip.width = width;
  strip.height = Math.max(1, people.length * stripe);
  strip.style.height = `${strip.height}px`;
  const context = strip.getContext("2d"), inset = 8, step = (width - 2 * inset) / content.frameCount;
  people.forEach((person, number) => {
    const color = person.color.map((value) => Math.round(255 * value * 0.9)).join(",");
    person.frames.forEach((at, row) => {
      context.fillStyle = `rgba(${color},${person.interpolated[row] ? 0.35 : 1})`;
      context.fillRect(inset + at * step, number * stripe + 1, Math.max(step, 0.5) + 0.2, stripe - 2);
    });
  });
}

// ---- hands ----
const pointers = new Map();
function orbit(dx, dy) {
  view.fixed = null;
  view.yaw -= dx * 0.008;
  view.pitch = Math.min(1.55, Math.max(-1.5, view.pitch + dy * 0.008));
}
function pan(dx, dy) {
  view.fixed = null;
  const perPixel = (2 * view.distance * Math.tan(view.fov / 2)) / canvas.clientHeight;
  const right = [Math.cos(view.yaw), 0, -Math.sin(view.yaw)], back = normalize(subtract(eyePosition(), view.target));
  const up = cross(back, right);
  view.target = view.target.map((value, i) => value + perPixel * (dy * up[i] - dx * right[i]));
}
function zoom(factor) { view.fixed = null; view.distance = Math.min(200, Math.max(0.3, view.distance * factor)); }
canvas.addEventListener("pointerdown", (event) => {
  canvas.setPointerCapture(event.pointerId);
  pointers.set(event.pointerId, event);
});
canvas.addEventListener("pointermove", (event) => {
  const before = pointers.get(event.pointerId);
  if (!before) return;
  const dx = event.clientX - before.clientX, dy = event.clientY - before.clientY;
  if (pointers.size === 2) {
    const other = [...pointers.values()].find((pointer) => pointer.pointerId !== event.pointerId);
    const distance = (pointer) => Math.hypot(pointer.clientX - other.clientX, pointer.clientY - other.clientY) || 1;
    zoom(distance(before) / distance(event));
    pan(dx / 2, dy / 2);
  } else if (event.shiftKey || event.buttons & 6) pan(dx, dy);
  else orbit(dx, dy);
  pointers.set(event.pointerId, event);
  draw();
});
for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, (event) => pointers.delete(event.pointerId));
canvas.addEventListener("contextmenu", (event) => event.preventDefault());
canvas.addEventListener("wheel", (event) => {
  event.preventDefault();
  zoom(Math.exp(event.deltaY * (event.deltaMode ? 0.03 : 0.001)));
  draw();
}, { passive: false });
canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
canvas.addEventListener("webglcontextrestored", () => { setUpGraphics(); draw(); });

const keys = {
  " ": () => play(!isPlaying),
  ArrowLeft: (event) => step(event.shiftKey ? -10 : -1),
  ArrowRight: (event) => step(event.shiftKey ? 10 : 1),
  Home: () => step(-frame),
  End: () => step(lastFrame),
  "+": () => { zoom(0.9); draw(); },
  "-": () => { zoom(1.1); draw(); },
};
document.addEventListener("keydown", (event) => {
  // A focused button, box or list keeps its own keys.
  const isOwn = event.target.matches("button, select, input[type=checkbox]") && (event.key === " " || event.target.matches("select"));
  if (isOwn || event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
  event.preventDefault();
  keys[event.key](event);
});
element("play").addEventListener("click", () => play(!isPlaying));
element("frame").addEventListener("input", (event) => { play(false); showFrame(Number(event.target.value)); });
element("speed").addEventListener("change", () => { if (isPlaying) play(true); });
for (const id of Object.keys(views)) element(id).addEventListener("click", views[id]);

function complain(text) {
  element("message").textContent = text;
  element("message").style.display = "flex";
}
element("frame").max = lastFrame;
for (const person of people) {
  person.label = document.createElement("label");
  const box = document.createElement("input"), chip = document.createElement("span"), name = document.createElement("span");
  box.type = "checkbox";
  box.checked = true;
  box.addEventListener("change", () => { person.isShown = box.checked; draw(); });
  chip.className = "chip";
  chip.style.background = `rgb(${person.color.map((value) => Math.round(255 * value)).join(",")})`;
  name.textContent = person.name;
  person.label.append(box, chip, name);
  element("people").append(person.label);
}
element("ground").textContent = (content.isUpright ? "upright, " : "level with the camera, ")
  + (content.isFloorFound ? "floor found" : "floor guessed at the lowest feet");
element("marks").hidden = !people.some((person) => person.contacts.length);
element("contacts").addEventListener("change", draw);
if (!people.length) complain("No person was tracked in this video.");
if (gl) {
  setUpGraphics();
  new ResizeObserver(() => { drawTimeline(); draw(); }).observe(element("stage"));
  views["view-free"]();
  showFrame(people.length ? people[0].frames[0] : 0);
} else complain("This page needs WebGL 2, which this browser does not offer or has switched off.");
