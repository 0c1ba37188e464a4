"use strict";
// Without this script everything can be read; it adds sorting, filters, copy buttons and the choice of colours.
(function () {
  const make = (tag, words, attributes) => {
    const made = document.createElement(tag);
    made.textContent = words;
    for (const [name, value] of Object.entries(attributes || {})) made.setAttribute(name, value);
    return made;
  };

  // Sorting: every header with data-sort becomes a button. Trivial predictors stay at the end.
  const keyOf = (row, column, kind) => {
    const cell = row.cells[column];
    if (kind === "text") return cell.textContent.trim();
    return cell.dataset.value === "" || cell.dataset.value === undefined ? NaN : Number(cell.dataset.value);
  };
  const sort = (table, head, down) => {
    const kind = head.dataset.sort, column = head.cellIndex, body = table.tBodies[0];
    const rows = [...body.rows].filter((row) => !row.hasAttribute("data-fixed"));
    const fixed = [...body.rows].filter((row) => row.hasAttribute("data-fixed"));
    const sign = down ? -1 : 1;
    rows.sort((one, other) => {
      const a = keyOf(one, column, kind), b = keyOf(other, column, kind);
      if (kind === "text") return sign * a.localeCompare(b, undefined, { numeric: true });
      if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b);
      return sign * (a - b);
    });
    body.append(...rows, ...fixed);
    folds.get(table)?.();
  };

  // Long tables begin folded: as many rows as are read, in the order of the table, and a button for all.
  const FOLDED = 30, WORTH = 10;
  const folds = new Map();
  const foldable = (table) => {
    const body = table.tBodies[0];
    const more = make("p", "", { class: "more" }), words = make("span", "", { "aria-live": "polite" });
    const all = make("button", "", { type: "button" });
    let open = false;
    const fold = () => {
      let matching = 0, shown = 0;
      for (const row of body.rows) {
        if (row.hasAttribute("data-fixed")) continue;
        const wanted = !matches.has(table) || matches.get(table)(row);
        matching += wanted ? 1 : 0;
        row.hidden = !(row.classList.contains("marked") || (wanted && (open || matching <= FOLDED || total <= FOLDED + WORTH)));
        shown += row.hidden ? 0 : 1;
      }
      words.textContent = shown < total ? `${shown} of ${total} shown` : "";
      all.textContent = `Show all ${matching}`;
      all.hidden = open || shown >= matching;
      more.hidden = shown >= total;
    };
    const total = [...body.rows].filter((row) => !row.hasAttribute("data-fixed")).length;
    all.addEventListener("click", () => { open = true; fold(); });
    more.append(words, all);
    table.closest(".scroll").after(more);
    folds.set(table, fold);
    fold();
  };
  const matches = new Map();
  for (const table of document.querySelectorAll("table#board, table[data-sortable]")) {
    for (const head of table.querySelectorAll("th[data-sort]")) {
      const button = make("button", head.textContent, { type: "button" });
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const before = head.getAttribute("aria-sort");
        const down = before ? before === "ascending" : head.dataset.sort === "high";
        for (const other of table.querySelectorAll("th[aria-sort]")) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        sort(table, head, down);
      });
    }
  }

  // Filters of the leaderboard: words in the name, and one choice per factor of the study.
  const board = document.getElementById("board");
  const filters = document.getElementById("filters");
  const factors = filters ? JSON.parse(filters.dataset.factors) : {};
  const rows = new Map();
  for (const row of document.querySelectorAll("#board tbody tr[data-levels]")) {
    rows.set(row, { levels: JSON.parse(row.dataset.levels), words: row.cells[1].textContent.replaceAll("\u200b", "").toLowerCase() });
  }
  const chosen = {};
  let sought = [];
  const filter = () => folds.get(board)();
  if (board) {
    matches.set(board, (row) => {
      const { levels, words } = rows.get(row);
      return Object.entries(chosen).every(([factor, level]) => !level || levels[factor] === level) && sought.every((word) => words.includes(word));
    });
  }
  if (rows.size > 2) {
    const label = make("label", "find "), input = make("input", "", { type: "search", placeholder: "words of a name" });
    input.addEventListener("input", () => { sought = input.value.toLowerCase().split(/\s+/).filter(Boolean); filter(); });
    label.append(input);
    filters.append(label);
    for (const [factor, levels] of Object.entries(factors)) {
      const label = make("label", factor.replaceAll("_", " ") + " ");
      const select = make("select", "");
      select.append(make("option", "all", { value: "" }), ...levels.map((level) => make("option", level, { value: level })));
      select.addEventListener("change", () => { chosen[factor] = select.value; filter(); });
      label.append(select);
      filters.append(label);
    }
  }
  for (const table of document.querySelectorAll("table#board, table[data-sortable]")) foldable(table);
  document.addEventListener("chosen", () => { for (const fold of folds.values()) fold(); });

  // Copy buttons, where the browser allows copying.
  if (navigator.clipboard) {
    for (const block of document.querySelectorAll(".command, [data-copy]")) {
      const button = make("button", "Copy", { type: "button", class: "copy" });
      button.addEventListener("click", async () => {
        const source = block.querySelector("code") || block;
        const words = [...source.childNodes].filter((node) => node !== button).map((node) => node.textContent).join(source === block ? "\n\n" : "");
        await navigator.clipboard.writeText(words.trim());
        button.textContent = "Copied";
        setTimeout(() => { button.textContent = "Copy"; }, 1500);
      });
      block.append(button);
    }
  }

  // Light or dark, when the reader wants it other than the system does.
  const dark = window.matchMedia("(prefers-color-scheme: dark)").matches;
  const toggle = make("button", "", { type: "button", class: "theme" });
  const show = (isDark) => {
    document.documentElement.dataset.theme = isDark ? "dark" : "light";
    toggle.textContent = isDark ? "Light" : "Dark";
    toggle.setAttribute("aria-label", isDark ? "Use light colours" : "Use dark colours");
  };
  show(dark);
  toggle.addEventListener("click", () => show(document.documentElement.dataset.theme !== "dark"));
  const corner = make("div", "", { class: "corner" });
  corner.append(toggle);
  document.querySelector("header").append(corner);

  // What is folded away can be unfolded at once, to be searched or printed.
  const folded = [...document.querySelectorAll("main details")];
  if (folded.length) {
    const closed = folded.filter((one) => !one.open), all = make("button", "", { type: "button", class: "unfold" });
    const isOpen = () => closed.every((one) => one.open);
    const tell = () => { all.textContent = isOpen() ? "Fold again" : "Unfold all"; };
    all.addEventListener("click", () => { const open = !isOpen(); for (const one of closed) one.open = open; });
    for (const one of closed) one.addEventListener("toggle", tell);
    tell();
    corner.prepend(all);
  }

  // Where the reader is.
  const links = new Map([...document.querySelectorAll("nav a")].map((link) => [link.hash.slice(1), link]));
  if ("IntersectionObserver" in window) {
    const seen = new IntersectionObserver((entries) => {
      for (const entry of entries) {
        if (!entry.isIntersecting) continue;
        for (const link of links.values()) link.removeAttribute("aria-current");
        links.get(entry.target.id)?.setAttribute("aria-current", "true");
      }
    }, { rootMargin: "-10% 0px -75% 0px" });
    for (const id of links.keys()) { const part = document.getElementById(id); if (part) seen.observe(part); }
  }

  // Pictures that were not yet scrolled to are printed too.
  window.addEventListener("beforeprint", () => {
    for (const picture of document.images) picture.decoding = "sync";
  });
})();
