"use strict";
// What is seen: images come in, an engine predicts them one after the other, and each becomes a card.
// Every text of a file or a class goes in as text, never as HTML.
const facts = JSON.parse(document.getElementById("facts").textContent);
const segments = facts.task.endsWith("segmentation"), several = facts.task.startsWith("multilabel");
const results = [];
let queue = Promise.resolve();

function made(tag, text = "", className = "") {
  const element = document.createElement(tag);
  if (text) element.textContent = text;
  if (className) element.className = className;
  return element;
}

function say(text) {
  document.getElementById("status").textContent = text;
}

function percent(share) {
  return `${(100 * share).toFixed(1)}\u00a0%`;
}

function colour(label) {
  return facts.colours[(label - 1) % facts.colours.length];
}

function decided(result) {
  return result.decided.map((index) => facts.classes[index]).join("; ") || "no label";
}

// A table with a row per class: its name, a bar, and the number beside it.
function bars(caption, shares, chosen, swatches) {
  const table = made("table", "", "bars");
  table.append(made("caption", caption, "soft"));
  const order = [...shares.keys()];
  if (!several && !segments) order.sort((a, b) => shares[b] - shares[a]);
  for (const index of order) {
    const row = table.insertRow(), name = made("th"), bar = made("div", "", "bar"), fill = made("i");
    row.className = chosen.includes(index) ? "chosen" : "";
    name.scope = "row";
    if (swatches && index > 0) {
      const swatch = made("span", "", "swatch");
      swatch.style.background = `rgb(${colour(index).join(",")})`;
      name.append(swatch);
    }
    name.append(facts.classes[index]);
    fill.style.width = `${100 * shares[index]}%`;
    bar.append(fill);
    row.append(name);
    row.insertCell().append(bar);
    row.insertCell().textContent = percent(shares[index]);
  }
  return table;
}

function drawn(result) {
  const box = made("div", "", "picture"), canvas = made("canvas");
  canvas.width = result.width;
  canvas.height = result.height;
  canvas.getContext("2d").drawImage(result.picture, 0, 0, result.width, result.height);
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", result.name);
  if (result.width < 200) canvas.classList.add("small");
  box.append(canvas);
  return box;
}

function tinted(result) {
  const canvas = made("canvas"), { width, height, labels } = result;
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d"), pixels = context.createImageData(width, height);
  for (let at = 0; at < labels.length; at++) {
    if (labels[at] === 0) continue;
    pixels.data.set([...colour(labels[at]), 255], 4 * at);
  }
  context.putImageData(pixels, 0, 0);
  if (width < 200) canvas.classList.add("small");
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `Mask of ${result.name}`);
  return canvas;
}

function maskCard(result, left, right) {
  const box = drawn(result), mask = tinted(result), slider = made("label", "Strength of the mask", "slider"), range = made("input");
  Object.assign(range, { type: "range", min: 0, max: 100, value: 50 });
  range.addEventListener("input", () => { mask.style.opacity = range.value / 100; });
  mask.style.opacity = 0.5;
  box.append(mask);
  slider.append(range);
  left.append(box, slider);
  right.append(bars("Share of the area", result.shares, [], true));
  right.append(made("p", `Mean probability of what is drawn: ${percent(result.certainty)}`, "soft"));
  const save = made("button", "Save the mask");
  save.addEventListener("click", () => saveMask(result));
  right.append(save);
}

function labelCard(result, left, right) {
  left.append(drawn(result));
  right.append(made("p", decided(result), "decision"));
  const calibrated = result.calibrated !== null;
  right.append(bars(calibrated ? "Calibrated probability" : "Probability", calibrated ? result.calibrated : result.probabilities, result.decided, false));
}

function neighbours(result, right) {
  if (!result.near || !result.near.length) {
    if (result.nearNote) right.append(made("p", result.nearNote, "soft"));
    return;
  }
  right.append(made("h3", "Nearest training images"), made("p", result.nearNote, "soft"));
  const list = made("ul", "", "near");
  for (const other of result.near) {
    const item = made("li"), image = made("img");
    image.src = other.picture;
    image.alt = `Training image ${other.name}`;
    item.append(image, other.label ? `${other.label}, ` : "", `${other.similarity.toFixed(3)}`, made("br"), made("span", other.name, "soft"));
    list.append(item);
  }
  right.append(list);
}

function show(result) {
  const card = made("article", "", "result"), left = made("div"), right = made("div");
  right.append(made("h2", result.name));
  (segments ? maskCard : labelCard)(result, left, right);
  if (result.warnings.length) {
    const list = made("ul", "", "warnings");
    list.append(...result.warnings.map((warning) => made("li", warning)));
    right.append(list);
  }
  neighbours(result, right);
  card.append(left, right);
  document.getElementById("results").prepend(card);
  results.push(result);
  document.getElementById("save").disabled = false;
}

function fail(name, error) {
  const card = made("article", "", "result"), box = made("div");
  box.append(made("h2", name), made("p", `It cannot be predicted: ${error.message}`, "caution"));
  card.append(box);
  document.getElementById("results").prepend(card);
  say(`${name} cannot be predicted: ${error.message}`);
}

async function predictOne(file) {
  try {
    say(`${file.name} is being predicted.`);
    const result = await engine.predict(file);
    show(Object.assign(result, { name: file.name }));
    say(segments ? `${file.name} is predicted.` : `${file.name}: ${decided(result)}.`);
  } catch (error) {
    fail(file.name, error);
  }
}

function take(files) {
  for (const file of files) queue = queue.then(() => predictOne(file));
}

// Files that are saved: what begins like a formula is marked as text, as spreadsheets would run it.
function cell(value) {
  let text = String(value);
  if (/^'*[=+\-@\t\r\n＝＋－＠]/.test(text) && !/^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(text)) text = `'${text}`;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function table() {
  const kinds = segments ? ["share"] : facts.temperature === null ? ["probability"] : ["probability", "calibrated"];
  const names = kinds.flatMap((kind) => facts.classes.map((name) => `${kind}_${name}`));
  const rows = [["image", segments ? "certainty" : "predicted", ...names, ...(facts.comparable ? ["unlike_training_p"] : []), "warning"]];
  for (const result of results) {
    const numbers = segments ? result.shares : [...result.probabilities, ...(result.calibrated || [])];
    const first = segments ? result.certainty.toFixed(6) : result.decided.map((index) => facts.classes[index]).join("; ");
    rows.push([result.name, first, ...Array.from(numbers, (number) => number.toFixed(6)),
      ...(facts.comparable ? [result.unlikeP.toFixed(4)] : []), result.warnings.join("; ")]);
  }
  return rows.map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";
}

function save(blob, name) {
  const link = made("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

function saveMask(result) {
  const canvas = made("canvas"), { width, height, labels } = result;
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d"), pixels = context.createImageData(width, height);
  const step = facts.classes.length === 2 ? 255 : 1;
  labels.forEach((label, at) => pixels.data.set([label * step, label * step, label * step, 255], 4 * at));
  context.putImageData(pixels, 0, 0);
  canvas.toBlob((blob) => save(blob, `${result.name.replace(/\.[^.]*$/, "")}-mask.png`));
}

document.getElementById("files").addEventListener("change", (event) => {
  take([...event.target.files]);
  event.target.value = "";
});
document.getElementById("save").addEventListener("click", () => save(new Blob([table()], { type: "text/csv" }), "predictions.csv"));
const drop = document.getElementById("drop");
for (const kind of ["dragenter", "dragover"]) {
  document.addEventListener(kind, (event) => { event.preventDefault(); drop.classList.add("over"); });
}
document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) drop.classList.remove("over"); });
document.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  take([...event.dataTransfer.files]);
});
for (const button of document.querySelectorAll("button.example")) {
  button.addEventListener("click", () => {
    const bytes = Uint8Array.from(atob(button.querySelector("img").src.split(",")[1]), (letter) => letter.charCodeAt(0));
    take([new File([bytes], `${button.dataset.name}.png`, { type: "image/png" })]);
  });
}
queue = queue.then(() => engine.ready()).then(() => {
  say("Ready.");
  document.documentElement.dataset.ready = "yes";
}).catch((error) => say(`The model cannot be run in this browser: ${error.message}`));
