"use strict";
// Loss surfaces that can be turned, zoomed and played over the epochs. All panels share one camera and one moment.
(function () {
  const root = document.getElementById("turned");
  if (!root || !("DecompressionStream" in window)) return; // the contour plots below say the same
  const held = JSON.parse(root.dataset.surfaces), drawn = surfaceDrawing(held), { camera, heights, views } = drawn;
  const still = window.matchMedia("(prefers-reduced-motion: reduce)");
  const HOME = { ...camera }, EPOCH_MS = 650, STILL_MS = 1100, REST_MS = 160;
  const make = (tag, words, attributes, ...children) => {
    const made = document.createElement(tag);
    if (words) made.textContent = words;
    for (const [name, value] of Object.entries(attributes || {})) made.setAttribute(name, value);
    made.append(...children);
    return made;
  };
  const state = { view: views[0], mode: "common", epochs: [], time: 0, aim: 0, playing: false, rough: false, told: -1, asked: 0, before: 0 };
  const brief = (value) => String(Number(value.toPrecision(3))).replace("-", "−");

  // Controls.
  const views_ = make("select", "", { id: "turned-view" });
  for (const group of new Set(views.map((view) => view.group))) {
    views_.append(make("optgroup", "", { label: group }, ...views.filter((view) => view.group === group).map((view) => make("option", view.name, { value: views.indexOf(view) }))));
  }
  const modes = make("select", "", { id: "turned-height" }, ...Object.entries(heights).map(([name, rule]) => make("option", rule.words, { value: name })));
  const button = (words, label, act) => { const made = make("button", words, { type: "button", "aria-label": label }); made.addEventListener("click", act); return made; };
  const zoom = (factor) => { camera.zoom = Math.min(4, Math.max(0.5, camera.zoom * factor)); moved(); };
  const turn = (across, up) => { camera.turn += across; camera.tilt = Math.min(1.5, Math.max(0.05, camera.tilt + up)); moved(); };
  const home = () => { Object.assign(camera, HOME); moved(); };
  const play = button("▶ Play", "Play over the epochs", () => { if (state.playing) pause(); else start(); });
  const slider = make("input", "", { type: "range", min: 0, max: 0, step: 1, value: 0, id: "turned-epoch" });
  const told = make("output", "", { for: "turned-epoch", "aria-live": "off" });
  const spoken = make("p", "", { class: "unseen", "aria-live": "polite" });
  const stage = make("div", "", { class: "turned-stage", tabindex: "0", role: "application", "aria-label": "Loss surfaces that can be turned", "aria-describedby": "turned-how" });
  const bar = document.querySelector("#surfaces .heatbar svg");
  root.append(
    make("div", "", { class: "turned-controls" },
      make("label", "Show ", { for: "turned-view" }, views_), make("label", "Height ", { for: "turned-height" }, modes),
      make("span", "", { class: "nobreak" }, button("−", "Zoom out", () => zoom(1 / 1.2)), " ", button("+", "Zoom in", () => zoom(1.2)), " ", button("Reset", "Reset the view", home))),
    make("div", "", { class: "turned-time" }, play, make("label", "Epoch", { for: "turned-epoch" }), slider, told),
    stage,
    ...(bar ? [make("div", "", { class: "turned-bar" }, bar.cloneNode(true))] : []),
    make("p", "Drag, or use the arrow keys, to turn; + and − zoom, Home resets, and after a click the wheel zooms. Colours are on the common scale whatever the height shows. Dashed: the trivial predictor. ○ the weights of the epoch. Grey dots: above the scale. Crosses: no finite number. Between two epochs the picture is blended.", { class: "legend", id: "turned-how" }),
    spoken,
  );

  // The moment: whole numbers are places in the list of all epochs; a panel shows the last of its own by then.
  const momentOf = (panel) => {
    const placeOf = (epoch) => panel.look.epochs.reduce((best, own, at) => (own <= epoch ? at : best), 0);
    const from = Math.floor(state.time), to = Math.min(from + 1, state.epochs.length - 1);
    return [placeOf(state.epochs[from]), placeOf(state.epochs[to]), state.time - from];
  };
  const epochWords = (at) => {
    const epoch = state.epochs[at], chosen = state.view.panels.every((panel) => panel.look.epochs[panel.look.chosen] === epoch);
    return `${epoch}${epoch === 0 ? ", before training" : chosen ? ", chosen" : ""}`;
  };
  const caption = (panel) => {
    const [from, to, part] = momentOf(panel), at = part > 0.5 ? to : from, shown = panel.states[at], centre = panel.look.centre[at][panel.l];
    const parts = [`${centre === null ? "no finite number" : brief(centre)} at epoch ${shown.epoch}${at === panel.look.chosen ? ", chosen" : ""}`];
    if (shown.over) parts.push(`${shown.over} points above the scale`);
    if (shown.absent) parts.push(`${shown.absent} not finite`);
    if (!panel.look.comparable[panel.l]) parts.push("no common scale");
    return parts.join(" · ");
  };
  const tell = (aloud) => {
    const at = Math.round(state.time);
    if (at === state.told && !aloud) return;
    state.told = at;
    slider.value = at;
    slider.setAttribute("aria-valuetext", `epoch ${epochWords(at)}`);
    told.textContent = epochWords(at);
    for (const panel of state.view.panels) panel.note.textContent = caption(panel);
    if (aloud) spoken.textContent = `Epoch ${epochWords(at)}. ` + state.view.panels.map((panel) => `${panel.called}: ${caption(panel)}`).join(". ");
  };

  // Drawing, only when something has changed: rough while it moves, fine when it rests.
  let rest = 0;
  const ask = () => { if (!state.asked && state.epochs.length) state.asked = requestAnimationFrame(frame); };
  const moved = () => {
    state.rough = true;
    clearTimeout(rest);
    if (!state.playing) rest = setTimeout(() => { state.rough = false; ask(); }, REST_MS);
    ask();
  };
  const frame = (now) => {
    state.asked = 0;
    const passed = Math.min(100, now - state.before);
    state.before = now;
    if (state.playing) advance(passed);
    else if (state.time !== state.aim) {
      const step = still.matches ? Infinity : passed / 180 * Math.max(1, Math.abs(state.aim - state.time));
      state.time = Math.abs(state.aim - state.time) <= step ? state.aim : state.time + Math.sign(state.aim - state.time) * step;
      tell(state.time === state.aim);
      moved();
    }
    const style = getComputedStyle(root), ink = Object.fromEntries(["ink", "muted", "grey"].map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
    for (const panel of state.view.panels) picture(panel, ink);
    if (state.playing) ask();
  };
  let waited = 0;
  const advance = (passed) => {
    const last = state.epochs.length - 1;
    waited += passed;
    if (!still.matches) state.time = Math.min(last, state.time + passed / EPOCH_MS);
    else if (waited > STILL_MS) { state.time = Math.min(last, Math.floor(state.time) + 1); waited = 0; }
    state.aim = state.time;
    moved();
    if (state.time >= last) pause(); else tell(false);
  };
  const picture = (panel, ink) => {
    const { canvas } = panel, width = Math.round(canvas.clientWidth), height = Math.round(canvas.clientHeight);
    if (!width) return;
    const dense = Math.min(window.devicePixelRatio || 1, 2), fine = state.rough ? 1 : 2;
    if (canvas.width !== width * dense) { canvas.width = width * dense; canvas.height = height * dense; }
    const pen = canvas.getContext("2d"), mesh = drawn.meshOf(panel, momentOf(panel));
    pen.setTransform(dense, 0, 0, dense, 0, 0);
    pen.clearRect(0, 0, width, height);
    const at = drawn.project(width, height);
    drawn.surround(pen, panel, at, ink, state.mode);
    drawn.mark(pen, mesh, at, ink);
    pen.drawImage(drawn.raster(mesh, width * fine, height * fine), 0, 0, width, height);
    const middle = (mesh.n * mesh.n - 1) / 2;
    if (mesh.n % 2 && mesh.z[middle] <= 1) {
      pen.beginPath(); pen.arc(...at(0, 0, mesh.z[middle]), 3.2, 0, 7);
      pen.fillStyle = "#ffffff"; pen.fill(); pen.strokeStyle = "#16202c"; pen.lineWidth = 1.3; pen.stroke();
    }
  };

  const start = () => {
    if (state.time >= state.epochs.length - 1) state.time = 0;
    Object.assign(state, { playing: true, before: performance.now() });
    play.textContent = "❚❚ Pause"; play.setAttribute("aria-label", "Pause");
    ask();
  };
  const pause = () => {
    Object.assign(state, { playing: false, time: Math.round(state.time), aim: Math.round(state.time) });
    play.textContent = "▶ Play"; play.setAttribute("aria-label", "Play over the epochs");
    tell(true);
    moved();
  };
  const show = async (view, mode) => {
    const epoch = state.epochs[Math.round(state.time)];
    const values = await Promise.all(view.panels.map((panel) => drawn.read(panel.look)));
    view.panels.forEach((panel, k) => drawn.prepare(panel, mode, values[k]));
    drawn.share(view.panels, mode);
    const epochs = [...new Set(view.panels.flatMap((panel) => panel.look.epochs))].sort((a, b) => a - b);
    const first = view.panels[0].look, wanted = epoch === undefined ? first.epochs[first.chosen] : epoch;
    const at = epochs.reduce((best, own, place) => (own <= wanted ? place : best), 0);
    Object.assign(state, { view, mode, epochs, time: at, aim: at, told: -1 });
    slider.max = epochs.length - 1;
    play.disabled = epochs.length < 2;
    stage.replaceChildren(...view.panels.map(figureOf));
    stage.className = `turned-stage${view.panels.length > 1 ? " several" : ""}${[4, 5, 6].includes(view.panels.length) ? ` many${view.panels.length}` : ""}`;
    tell(false);
    moved();
  };
  const figureOf = (panel) => {
    const trained = panel.look.trained === panel.l;
    panel.called = panel.byLook ? panel.look.name : panel.title;
    panel.canvas = make("canvas", "", { "aria-hidden": "true" });
    panel.note = make("small", "");
    return make("figure", "", {}, make("figcaption", "", {}, make("b", panel.called), trained ? " · training loss" : "", panel.note), panel.canvas);
  };

  // Pointer, wheel and keys.
  const fingers = new Map();
  const apart = () => { const [a, b] = [...fingers.values()]; return Math.hypot(a.x - b.x, a.y - b.y) || 1; };
  stage.addEventListener("pointerdown", (event) => { fingers.set(event.pointerId, { x: event.clientX, y: event.clientY }); stage.setPointerCapture(event.pointerId); });
  stage.addEventListener("pointermove", (event) => {
    const finger = fingers.get(event.pointerId);
    if (!finger) return;
    const before = fingers.size === 2 ? apart() : 0, across = event.clientX - finger.x, up = event.clientY - finger.y;
    Object.assign(finger, { x: event.clientX, y: event.clientY });
    if (before) zoom(apart() / before); else turn(-across * 0.01, event.pointerType === "touch" ? 0 : up * 0.008);
  });
  for (const kind of ["pointerup", "pointercancel"]) stage.addEventListener(kind, (event) => fingers.delete(event.pointerId));
  stage.addEventListener("wheel", (event) => {
    if (document.activeElement !== stage && !event.ctrlKey) return; // who scrolls past is not to be caught
    event.preventDefault();
    zoom(Math.exp(-event.deltaY * 0.0015));
  }, { passive: false });
  const KEYS = { ArrowLeft: () => turn(0.12, 0), ArrowRight: () => turn(-0.12, 0), ArrowUp: () => turn(0, 0.1), ArrowDown: () => turn(0, -0.1), "+": () => zoom(1.15), "=": () => zoom(1.15), "-": () => zoom(1 / 1.15), Home: home };
  stage.addEventListener("keydown", (event) => { if (KEYS[event.key] && !event.ctrlKey && !event.metaKey && !event.altKey) { event.preventDefault(); KEYS[event.key](); } });
  slider.addEventListener("input", () => { if (state.playing) pause(); state.aim = Number(slider.value); state.before = performance.now(); ask(); });
  const change = () => show(views[Number(views_.value)], modes.value);
  views_.addEventListener("change", change);
  modes.addEventListener("change", change);
  new MutationObserver(moved).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  if ("ResizeObserver" in window) new ResizeObserver(moved).observe(stage);
  root.hidden = false;
  show(state.view, state.mode);
})();
