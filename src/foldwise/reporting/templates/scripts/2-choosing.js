// Choosing a configuration anywhere marks it everywhere: in tables, charts, legends and panels.
(function () {
  const places = new Map();
  for (const one of document.querySelectorAll("[data-configuration]")) {
    const id = one.dataset.configuration;
    if (!places.has(id)) places.set(id, []);
    places.get(id).push(one);
  }
  const rows = new Map([...document.querySelectorAll("#board tr[data-configuration]")].map((row) => [row.dataset.configuration, row]));
  if (rows.size < 2) return;
  const make = (tag, attributes, ...inside) => {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...inside);
    return made;
  };

  // What is chosen is said in a line at the lower edge.
  const said = make("span", { role: "status" });
  const clear = make("button", { type: "button", title: "Escape does the same" }, "Clear");
  const bar = make("div", { class: "choice", role: "region", "aria-label": "Chosen configuration" }, said);
  document.querySelector("main").append(bar);
  const words = (row) => {
    const cell = (selector) => row.querySelector(selector)?.textContent.trim().replace(/\s+/g, " ");
    const name = row.querySelector("th .pick").textContent.replaceAll("\u200b", "").trim();
    const estimate = row.querySelector("td.num strong");
    const span = estimate?.parentElement.querySelector("small")?.textContent;
    return [`${name}`, `number ${cell(".place")} of ${rows.size}`, estimate && estimate.textContent + (span ? ` (${span})` : ""), cell(".verdict b")]
      .filter(Boolean).join(" · ");
  };

  let chosen = null;
  const mark = (id, on) => {
    for (const one of places.get(id) || []) {
      one.classList.toggle("marked", on);
      const drawing = one.closest("svg");
      if (!drawing) continue;
      drawing.classList.toggle("has-marked", on);
      if (on && one.parentNode === drawing) drawing.append(one);  // above what would cover it
    }
    for (const button of rows.get(id)?.querySelectorAll(".pick") || []) button.setAttribute("aria-pressed", String(on));
  };
  const choose = (id) => {
    if (chosen !== null) mark(chosen, false);
    chosen = id !== null && rows.has(id) ? id : null;
    if (chosen !== null) mark(chosen, true);
    bar.classList.toggle("on", chosen !== null);
    said.textContent = chosen === null ? "" : `Chosen: ${words(rows.get(chosen))}`;
    if (chosen === null) clear.remove(); else bar.append(clear);
    document.dispatchEvent(new CustomEvent("chosen"));
    try {
      history.replaceState(null, "", chosen === null ? location.pathname + location.search : `#configuration=${chosen}`);
    } catch { /* some viewers do not allow it; nothing depends on it */ }
  };
  clear.addEventListener("click", () => {
    const row = rows.get(chosen);
    choose(null);
    row?.querySelector(".pick")?.focus({ preventScroll: true });
  });

  // From the keyboard: a button in every row, buttons for legends, and arrow keys in a chart.
  for (const row of rows.values()) {
    const head = row.querySelector("th");
    const button = make("button", { type: "button", class: "pick", "aria-pressed": "false" });
    button.append(...[...head.childNodes].filter((node) => node.nodeName !== "SMALL"));
    head.prepend(button);
  }
  for (const key of document.querySelectorAll(".key[data-configuration]")) {
    key.tabIndex = 0;
    key.setAttribute("role", "button");
    key.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      toggle(key.dataset.configuration);
    });
  }
  const order = [...rows.keys()];
  const STEPS = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
  for (const drawing of document.querySelectorAll("svg[role=img]")) {
    const drawn = new Set([...drawing.querySelectorAll("[data-configuration]")].map((one) => one.dataset.configuration));
    const own = order.filter((id) => drawn.has(id));
    if (own.length < 2) continue;
    drawing.setAttribute("tabindex", "0");
    drawing.setAttribute("aria-description", "Arrow keys choose a configuration.");
    drawing.addEventListener("keydown", (event) => {
      const step = STEPS[event.key];
      if (!step) return;
      event.preventDefault();
      const place = own.indexOf(chosen);
      choose(own[place < 0 ? (step > 0 ? 0 : own.length - 1) : (place + step + own.length) % own.length]);
    });
  }

  const toggle = (id) => choose(id === chosen ? null : id);
  const AROUND = [0, 1, 2, 3, 4, 5, 6, 7].map((eighth) => [Math.cos((eighth * Math.PI) / 4), Math.sin((eighth * Math.PI) / 4)]);
  const near = (event) => {  // a line is thin: what lies within six pixels is meant
    for (const far of [3, 6]) {
      for (const [x, y] of AROUND) {
        const one = document.elementFromPoint(event.clientX + far * x, event.clientY + far * y)?.closest("svg [data-configuration]");
        if (one) return one;
      }
    }
    return null;
  };
  document.addEventListener("click", (event) => {
    const target = event.target;
    if (target.closest("a, summary, select, input, label, .choice, button:not(.pick)")) return;
    if (!target.closest(".pick") && String(getSelection())) return;  // words are being copied
    const inside = target.closest("[data-configuration]");
    const one = inside && (inside.closest("svg") || !target.closest("svg")) ? inside : (target.closest("svg") && near(event)) || inside;
    if (one) toggle(one.dataset.configuration);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && chosen !== null && !event.target.closest("input")) choose(null);
  });
  const asked = /^#configuration=(.+)$/.exec(location.hash);
  if (asked) choose(decodeURIComponent(asked[1]));
})();
