"use strict";
// Pictures of several epochs: a slider shows one epoch of all pictures of a block at a time, and plays them in turn.
// Without this script, and in print, all epochs stand beside each other.
(function () {
  const STEP_MS = 700;
  const make = (tag, words, attributes) => {
    const made = document.createElement(tag);
    made.textContent = words;
    for (const [name, value] of Object.entries(attributes || {})) made.setAttribute(name, value);
    return made;
  };

  const epochOf = (cell) => Number(cell.dataset.epoch);
  // A network that stopped earlier keeps showing its last epoch.
  const latest = (cells, epoch) => cells.filter((cell) => epochOf(cell) <= epoch).at(-1) || cells[0];

  const slide = (block) => {
    const rows = [...block.querySelectorAll("[data-row]")].map((row) => [...row.querySelectorAll("[data-epoch]")]);
    const epochs = [...new Set(rows.flat().map(epochOf))].sort((a, b) => a - b);
    if (epochs.length < 2) return;
    const chosen = block.querySelector("[data-chosen]");
    const first = chosen ? epochs.indexOf(epochOf(chosen)) : epochs.length - 1;
    const play = make("button", "Play", { type: "button" });
    const range = make("input", "", { type: "range", min: 0, max: epochs.length - 1, step: 1, value: first, "aria-label": `Epoch of ${block.dataset.slides}` });
    const said = make("output", "", { "aria-live": "off" });
    const whole = make("button", "All epochs", { type: "button", "aria-pressed": "false" });
    const player = make("div", "", { class: "player", role: "group", "aria-label": `Epochs of ${block.dataset.slides}` });
    let timer = null;

    const show = () => {
      const epoch = epochs[Number(range.value)];
      for (const cells of rows) {
        const shown = latest(cells, epoch);
        for (const cell of cells) cell.classList.toggle("now", cell === shown);
      }
      said.textContent = epoch === 0 ? "before training" : `epoch ${epoch}`;
      range.setAttribute("aria-valuetext", said.textContent);
    };
    const stop = () => { clearInterval(timer); timer = null; play.textContent = "Play"; };
    const next = () => {
      if (Number(range.value) === epochs.length - 1) return stop();
      range.value = Number(range.value) + 1;
      return show();
    };
    play.addEventListener("click", () => {
      if (timer !== null) return stop();
      if (Number(range.value) === epochs.length - 1) { range.value = 0; show(); }
      play.textContent = "Pause";
      timer = setInterval(next, STEP_MS);
      return undefined;
    });
    range.addEventListener("input", () => { stop(); show(); });
    whole.addEventListener("click", () => {
      stop();
      const all = block.classList.toggle("sliding") === false;
      whole.setAttribute("aria-pressed", String(all));
      for (const one of [play, range, said]) one.hidden = all;
    });
    player.append(play, range, said, whole);
    block.prepend(player);
    block.classList.add("sliding");
    show();
  };
  for (const block of document.querySelectorAll("[data-slides]")) slide(block);
})();
