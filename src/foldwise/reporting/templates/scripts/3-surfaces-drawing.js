"use strict";
// How a loss surface is drawn: numbers out of the page, heights, and a picture of which every pixel is computed here
// and put on a 2-D canvas. No library, no WebGL, nothing loaded. `3-surfaces.js` holds the controls.
function surfaceDrawing(held) {
  const STEPS = 65534, ABSENT = 65535, FARTHEST = 2, STEEPEST = 3, TALL = 1.15, SHADES = 64;

  // Numbers: what surface_data.py packed, as values on the common scale; 0 is the solution, 1 the trivial predictor.
  const unpack = async (look) => {
    const bytes = Uint8Array.from(atob(look.data), (one) => one.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    const planes = new Uint8Array(await new Response(stream).arrayBuffer());
    const n = look.points, size = n * n, total = planes.length / 2;
    const values = new Float32Array(total), above = new Uint16Array(n);
    for (let start = 0, s = 0; start < total; start += size, s += 1) {
      const low = look.ranges[2 * s], step = (look.ranges[2 * s + 1] - low) / STEPS;
      above.fill(0);
      for (let i = 0; i < n; i += 1) {
        let row = 0;
        for (let j = 0; j < n; j += 1) {
          const at = start + i * n + j, folded = (planes[at] << 8) | planes[total + at];
          row = (row + ((folded >> 1) ^ -(folded & 1))) & 65535;
          above[j] += row;
          values[at] = above[j] === ABSENT ? NaN : Math.sinh(low + above[j] * step) / held.fine;
        }
      }
    }
    return values;
  };
  const valuesOf = new Map();
  const read = async (look) => { if (!valuesOf.has(look)) valuesOf.set(look, await unpack(look)); return valuesOf.get(look); };

  // Colours: a place from 0 to 9, whole numbers at the levels, so that the lines of the contour plots stand here too.
  const levels = held.levels, bands = held.ramp.length;
  const placeOf = (value) => {
    if (value < levels[0]) return Math.max(0, 1 + (value - levels[0]) * 2);
    let k = 1;
    while (k < levels.length && value >= levels[k]) k += 1;
    if (k === levels.length) return Math.min(bands - 0.01, k + (value - levels[k - 1]) / 4);
    return k + (value - levels[k - 1]) / (levels[k] - levels[k - 1]);
  };
  const EDGE = [levels[0] - 0.5, levels[levels.length - 1] + 4], FINE = 4096 / (EDGE[1] - EDGE[0]);
  // A value is taken for the next one of this table above it, so that what is just the solution is not called lower.
  const places = Float32Array.from({ length: 4097 }, (_, k) => placeOf(EDGE[0] + k / FINE));
  const ramp = held.ramp.map((hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)));
  const PLACES = 28 * bands, table = new Uint32Array(PLACES * SHADES);
  for (let p = 0; p < PLACES; p += 1) {
    const at = Math.min(Math.max(p / 28 - 0.5, 0), bands - 1.001), k = Math.floor(at);
    for (let s = 0; s < SHADES; s += 1) {
      const [r, g, b] = [0, 1, 2].map((c) => Math.min(255, (ramp[k][c] + (at - k) * (ramp[k + 1][c] - ramp[k][c])) * (0.5 + s / SHADES * 0.75)));
      table[p * SHADES + s] = (255 << 24) | (b << 16) | (g << 8) | r;
    }
  }

  // Panels: what stands side by side, and how high each of its points is.
  const views = held.looks.map((look) => ({ name: look.name, group: "Every criterion of", panels: look.criteria.map((_, l) => ({ look, l })) }));
  if (held.looks.length > 1) {
    for (const title of new Set(held.looks.flatMap((look) => look.criteria))) {
      const panels = held.looks.filter((look) => look.criteria.includes(title)).map((look) => ({ look, l: look.criteria.indexOf(title), byLook: true }));
      if (panels.length > 1) views.push({ name: title, group: "Every configuration by", panels });
    }
  }
  const heights = {
    common: { words: "common scale", of: (u) => u, together: () => "all", most: () => FARTHEST },
    raw: { words: "own values", of: (u, p) => p.zero + p.unit * u, together: (p) => p.title, most: (p) => p.zero + p.unit * FARTHEST },
    log: { words: "own values, logarithmic", of: (u, p) => Math.log10(Math.max(p.zero + p.unit * u, 1e-6)), together: (p) => p.title, most: () => Infinity },
  };
  const prepare = (panel, mode, values) => {
    const { look, l } = panel, size = look.points ** 2, rule = heights[mode];
    Object.assign(panel, { title: look.criteria[l], zero: look.zero[l], unit: look.unit[l], low: Infinity, high: -Infinity, states: [] });
    look.epochs.forEach((epoch, e) => {
      const first = (e * look.criteria.length + l) * size;
      const state = { epoch, height: new Float32Array(size), value: new Float32Array(size), over: 0, absent: 0 };
      for (let at = 0; at < size; at += 1) {
        const u = values[first + at], h = rule.of(u, panel);
        state.height[at] = h;
        state.value[at] = u;
        if (Number.isNaN(u)) { state.absent += 1; continue; }
        if (h > rule.most(panel)) state.over += 1;
        if (h < panel.low) panel.low = h;
        if (h > panel.high) panel.high = h;
      }
      panel.states.push(state);
    });
    panel.high = Math.min(panel.high, rule.most(panel));
    if (mode === "common") { panel.low = Math.max(Math.min(panel.low, 0), -FARTHEST); panel.high = Math.max(panel.high, 0.2); }
  };
  const share = (panels, mode) => { // one scale for the panels whose heights are in the same units
    for (const panel of panels) {
      const alike = panels.filter((one) => heights[mode].together(one) === heights[mode].together(panel));
      panel.floor = Math.min(...alike.map((one) => one.low));
      panel.top = Math.max(...alike.map((one) => one.high), panel.floor + 1e-9);
    }
  };

  // The picture: triangles with a depth for every pixel, then colours, light and lines.
  const camera = { turn: 0.65, tilt: 0.72, zoom: 1 };
  const buffers = new Map();
  const buffersOf = (width, height) => {
    const key = `${width}x${height}`;
    if (!buffers.has(key)) {
      if (buffers.size > 4) buffers.clear();
      const sheet = document.createElement("canvas");
      sheet.width = width; sheet.height = height;
      const pen = sheet.getContext("2d"), image = pen.createImageData(width, height), count = width * height;
      buffers.set(key, { sheet, pen, image, pixels: new Uint32Array(image.data.buffer), near: new Float32Array(count), place: new Float32Array(count), light: new Float32Array(count) });
    }
    return buffers.get(key);
  };
  const project = (width, height) => {
    const scale = 0.28 * Math.min(width, height * 1.25) * camera.zoom, [ct, st] = [Math.cos(camera.turn), Math.sin(camera.turn)], [ce, se] = [Math.cos(camera.tilt), Math.sin(camera.tilt)];
    const x_ = (x, y) => width * 0.53 + scale * (x * ct - y * st), y_ = (x, y, z) => height * 0.52 - scale * ((x * st + y * ct) * se + (z - 0.5) * TALL * ce);
    const near = (x, y, z) => (z - 0.5) * TALL * se - (x * st + y * ct) * ce;
    return Object.assign((x, y, z) => [x_(x, y), y_(x, y, z)], { x: x_, y: y_, near });
  };
  const triangle = (b, width, height, v, p, q, r) => {
    const x0 = v.x[p], y0 = v.y[p], x1 = v.x[q], y1 = v.y[q], x2 = v.x[r], y2 = v.y[r];
    const area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0);
    if (Math.abs(area) < 1e-9) return;
    const left = Math.max(0, Math.ceil(Math.min(x0, x1, x2) - 0.5)), right = Math.min(width - 1, Math.floor(Math.max(x0, x1, x2) + 0.5));
    const top = Math.max(0, Math.ceil(Math.min(y0, y1, y2) - 0.5)), bottom = Math.min(height - 1, Math.floor(Math.max(y0, y1, y2) + 0.5));
    const ax = (y1 - y2) / area, ay = (x2 - x1) / area, bx = (y2 - y0) / area, by = (x0 - x2) / area, SLACK = -0.02, TOP = 1.0001;
    for (let y = top; y <= bottom; y += 1) {
      let one = ax * (left - x2) + ay * (y - y2), two = bx * (left - x2) + by * (y - y2), at = y * width + left;
      for (let x = left; x <= right; x += 1, one += ax, two += bx, at += 1) {
        const three = 1 - one - two;
        if (one < SLACK || two < SLACK || three < SLACK) continue;
        if (one * v.z[p] + two * v.z[q] + three * v.z[r] > TOP) continue;
        const near = one * v.near[p] + two * v.near[q] + three * v.near[r];
        if (near <= b.near[at]) continue;
        b.near[at] = near;
        const value = one * v.value[p] + two * v.value[q] + three * v.value[r];
        b.place[at] = places[Math.min(4096, Math.max(0, Math.ceil((value - EDGE[0]) * FINE)))];
        b.light[at] = one * v.light[p] + two * v.light[q] + three * v.light[r];
      }
    }
  };
  const raster = (mesh, width, height) => {
    const b = buffersOf(width, height), n = mesh.n, at = project(width, height), v = mesh;
    b.near.fill(-1e9); b.pixels.fill(0);
    for (let i = 0, k = 0; i < n; i += 1) {
      const y = 2 * i / (n - 1) - 1;
      for (let j = 0; j < n; j += 1, k += 1) {
        const x = 2 * j / (n - 1) - 1, z = v.z[k];
        v.x[k] = at.x(x, y); v.y[k] = at.y(x, y, z); v.near[k] = at.near(x, y, z);
      }
    }
    for (let i = 0; i < n - 1; i += 1) {
      for (let j = 0; j < n - 1; j += 1) {
        const k = i * n + j;
        if (Number.isNaN(v.z[k] + v.z[k + 1] + v.z[k + n] + v.z[k + n + 1])) continue; // a hole where there is no number
        if (Math.min(v.z[k], v.z[k + 1], v.z[k + n], v.z[k + n + 1]) > 1) continue; // above the scale
        triangle(b, width, height, v, k, k + 1, k + n);
        triangle(b, width, height, v, k + 1, k + n + 1, k + n);
      }
    }
    for (let y = 0, k = 0; y < height; y += 1) {
      for (let x = 0; x < width; x += 1, k += 1) {
        if (b.near[k] === -1e9) continue;
        const band = b.place[k] | 0, right = x + 1 < width && b.near[k + 1] > -1e9 ? b.place[k + 1] | 0 : band, below = y + 1 < height && b.near[k + width] > -1e9 ? b.place[k + width] | 0 : band;
        let light = b.light[k];
        if (band !== right || band !== below) light *= Math.max(band, right, below) > levels.indexOf(1) && Math.min(band, right, below) <= levels.indexOf(1) ? 0.25 : 0.72;
        b.pixels[k] = table[Math.min(PLACES - 1, b.place[k] * 28 | 0) * SHADES + Math.min(SHADES - 1, light * SHADES | 0)];
      }
    }
    b.pen.putImageData(b.image, 0, 0);
    return b.sheet;
  };
  const meshOf = (panel, moment) => { // the surface between two epochs, lit from the upper left
    const n = panel.look.points, size = n * n, [from, to, part] = moment, range = panel.top - panel.floor;
    if (!panel.mesh) panel.mesh = { n, ...Object.fromEntries(["x", "y", "near", "z", "value", "light"].map((key) => [key, new Float32Array(size)])) };
    const mesh = panel.mesh, a = panel.states[from], b = panel.states[part > 0 ? to : from]; // a point without a number has none between epochs
    for (let k = 0; k < size; k += 1) {
      mesh.z[k] = Math.min(STEEPEST, Math.max(0, (a.height[k] + part * (b.height[k] - a.height[k]) - panel.floor) / range));
      mesh.value[k] = a.value[k] + part * (b.value[k] - a.value[k]);
    }
    const slope = (one, other, steps) => { const rise = (mesh.z[one] - mesh.z[other]) * TALL * (n - 1) / 2 / steps; return Number.isNaN(rise) ? 0 : rise; };
    for (let i = 0, k = 0; i < n; i += 1) {
      for (let j = 0; j < n; j += 1, k += 1) {
        const l = j > 0 ? 1 : 0, r = j < n - 1 ? 1 : 0, u = i > 0 ? 1 : 0, d = i < n - 1 ? 1 : 0;
        const dx = slope(k + r, k - l, l + r), dy = slope(k + d * n, k - u * n, u + d);
        mesh.light[k] = 0.3 + 0.62 * Math.max(0, (0.45 * dx - 0.35 * dy + 0.82) / Math.sqrt(1 + dx * dx + dy * dy));
      }
    }
    return mesh;
  };

  // Points that are not drawn: a dot at the upper end of the scale for what is above it, a cross below where no number is.
  const mark = (pen, mesh, at, ink) => {
    const n = mesh.n;
    pen.strokeStyle = ink.muted; pen.fillStyle = ink.muted; pen.lineWidth = 1; pen.setLineDash([]);
    pen.beginPath();
    for (let k = 0; k < n * n; k += 1) {
      const z = mesh.z[k], absent = Number.isNaN(z);
      if (!absent && z <= 1) continue;
      const [x, y] = at(2 * (k % n) / (n - 1) - 1, 2 * Math.floor(k / n) / (n - 1) - 1, absent ? 0 : 1);
      if (absent) { pen.moveTo(x - 2, y - 2); pen.lineTo(x + 2, y + 2); pen.moveTo(x + 2, y - 2); pen.lineTo(x - 2, y + 2); } else pen.fillRect(x - 0.5, y - 0.5, 1, 1);
    }
    pen.stroke();
  };

  // Round the surface: its floor, the height of the trivial predictor, and an axis with numbers.
  const ticksOf = (low, high) => {
    const rough = (high - low) / 4, power = 10 ** Math.floor(Math.log10(rough)), step = [1, 2, 5, 10].find((one) => one * power >= rough * 0.999) * power;
    return Array.from({ length: Math.floor(high / step + 1e-9) - Math.ceil(low / step - 1e-9) + 1 }, (_, k) => (Math.ceil(low / step - 1e-9) + k) * step);
  };
  const CORNERS = [[-1, -1], [1, -1], [1, 1], [-1, 1]];
  const surround = (pen, panel, at, ink, mode) => {
    const square = (z) => { pen.beginPath(); CORNERS.forEach(([x, y], k) => pen[k ? "lineTo" : "moveTo"](...at(x, y, z))); pen.closePath(); pen.stroke(); };
    const heightOf = (value) => (value - panel.floor) / (panel.top - panel.floor);
    pen.strokeStyle = ink.grey; pen.lineWidth = 1; pen.setLineDash([]);
    square(0);
    const trivial = heightOf(heights[mode].of(1, panel));
    if (panel.look.comparable[panel.l] && trivial > 0.02 && trivial <= 1) { pen.setLineDash([5, 4]); pen.strokeStyle = ink.ink; square(trivial); pen.setLineDash([]); }
    const corner = CORNERS.reduce((one, other) => (at(...other, 0)[0] < at(...one, 0)[0] ? other : one));
    pen.strokeStyle = ink.grey; pen.fillStyle = ink.muted; pen.font = "10px system-ui, sans-serif"; pen.textAlign = "right";
    pen.beginPath(); pen.moveTo(...at(...corner, 0)); pen.lineTo(...at(...corner, 1)); pen.stroke();
    for (const value of ticksOf(panel.floor, panel.top)) {
      const [x, y] = at(...corner, heightOf(value));
      pen.fillText(String(Number((mode === "log" ? 10 ** value : value).toPrecision(2))).replace("-", "−"), x - 5, y + 3);
      pen.beginPath(); pen.moveTo(x - 3, y); pen.lineTo(x, y); pen.stroke();
    }
  };
  return { read, views, heights, prepare, share, camera, project, raster, meshOf, mark, surround };
}
