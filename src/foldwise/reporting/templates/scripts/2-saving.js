// Every chart is saved as SVG or printed as PDF, every table and the numbers of every chart as CSV, with one click.
(function () {
  const SVG = "http://www.w3.org/2000/svg";
  const main = document.querySelector("main");
  const plain = (words) => words.replaceAll("\u200b", "").replaceAll("\u00a0", " ").replace(/\s+/g, " ").trim();
  // A text that a spreadsheet program would run as a formula is marked as a text, as in every other CSV file.
  const spelled = (words) => (/^'*[=+\-@\t\r\n＝＋－＠]/.test(words) && !/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(words) ? `'${words}` : words);
  const escaped = (words) => (/[",\n]/.test(words) ? `"${words.replaceAll('"', '""')}"` : words);
  const quoted = (words) => escaped(spelled(words));
  const line = (cells) => cells.map((cell) => quoted(String(cell))).join(",");
  const names = new Map();
  for (const row of document.querySelectorAll("#board tr[data-configuration]")) {
    const head = row.querySelector("th").cloneNode(true);
    for (const note of head.querySelectorAll("small")) note.remove();
    names.set(row.dataset.configuration, plain(head.textContent));
  }

  const save = (text, type, name) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  };

  // Tables: the value behind every cell in full, its interval in columns of their own, and the small print.
  const headings = (table) => {
    const grid = [];
    [...table.tHead.rows].forEach((row, top) => {
      let column = 0;
      for (const cell of row.cells) {
        while ((grid[column] || [])[top] !== undefined) column += 1;
        const words = cell.classList.contains("drawn") ? null : own(cell);
        for (let x = 0; x < cell.colSpan; x += 1, column += 1) {
          for (let y = 0; y < cell.rowSpan; y += 1) (grid[column] ||= [])[top + y] = y ? "" : words;
        }
      }
    });
    return grid.map((words) => (words.includes(null) ? null : words.filter(Boolean).join(", ")));
  };
  const own = (cell) => {
    const copy = cell.cloneNode(true);
    for (const part of copy.querySelectorAll("small, svg, .unseen")) part.remove();
    return plain(copy.textContent);
  };
  const note = (cell) => plain([...cell.querySelectorAll("small")].map((one) => one.textContent).join("; "));
  const told = (cell) => (cell.dataset.value === undefined ? own(cell) : cell.dataset.value);
  const tableRows = (table) => {
    const heads = headings(table), rows = [...table.tBodies].flatMap((body) => [...body.rows]);
    const columns = heads.map((head, place) => ({ head, place })).filter((one) => one.head !== null);
    for (const one of columns) {
      const cells = rows.map((row) => row.cells[one.place]).filter(Boolean);
      one.ends = cells.some((cell) => cell.dataset.low !== undefined);
      one.noted = cells.some((cell) => cell.dataset.low === undefined && note(cell));
    }
    const widened = (one, first, low, high, small) => [first, ...(one.ends ? [low, high] : []), ...(one.noted ? [small] : [])];
    const top = columns.flatMap((one) => widened(one, one.head, `${one.head}, low`, `${one.head}, high`, `${one.head}, note`));
    const body = rows.map((row) => columns.flatMap((one) => {
      const cell = row.cells[one.place];
      if (!cell) return widened(one, "", "", "", "");
      return widened(one, told(cell), cell.dataset.low ?? "", cell.dataset.high ?? "", cell.dataset.low === undefined ? note(cell) : "");
    }));
    return [top, ...body].map(line);
  };
  const titleOf = (one) => plain(one.closest("figure")?.querySelector("figcaption")?.textContent || one.closest("[aria-label]")?.getAttribute("aria-label") || "");

  // Blocks of lines under one heading; with several of them, the first column says whose they are.
  const joined = (blocks, what) => {
    if (blocks.length === 1) return blocks[0].lines.join("\n") + "\n";
    const under = new Map();
    for (const { title, lines: [top, ...rest] } of blocks) {
      if (!under.has(top)) under.set(top, [`${what},${top}`]);
      under.get(top).push(...rest.map((row) => `${quoted(title)},${row}`));
    }
    return [...under.values()].map((lines) => lines.join("\n")).join("\n\n") + "\n";
  };
  const tablesCsv = (tables) => joined(tables.map((one) => ({ title: titleOf(one), lines: tableRows(one) })), "table");
  const numbersCsv = (drawings) => joined(drawings.map((one) => ({
    title: plain(one.querySelector("title").textContent),
    lines: one.dataset.numbers.split("\n").map((row) => row.replace(/^c-[0-9a-f]+(?=,)/, (id) => quoted(names.get(id) || id))),
  })), "panel");

  // Charts: what is seen, drawn again with literal colours on white, as image editors know no variables.
  const KEPT = { "fill": "rgb(0, 0, 0)", "stroke": "none", "stroke-width": "1px", "stroke-dasharray": "none", "opacity": "1", "fill-opacity": "1", "stroke-linejoin": "miter", "paint-order": "normal", "font-size": "", "font-weight": "400" };
  const painter = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const literal = (colour) => {  // [#rrggbb, share of opacity]
    painter.clearRect(0, 0, 1, 1);
    painter.fillStyle = colour;
    painter.fillRect(0, 0, 1, 1);
    const [red, green, blue, alpha] = painter.getImageData(0, 0, 1, 1).data;
    return [`#${[red, green, blue].map((part) => part.toString(16).padStart(2, "0")).join("")}`, alpha / 255];
  };
  const drawn = (tag, attributes, words) => {
    const made = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, typeof value === "number" ? Number(value.toFixed(2)) : value);
    if (words !== undefined) made.textContent = words;
    return made;
  };
  const styled = (source, copy) => {
    const style = getComputedStyle(source), isText = source.nodeName === "text";
    for (const [name, usual] of Object.entries(KEPT)) {
      if (name.startsWith("font") && !isText) continue;
      const value = style.getPropertyValue(name);
      if (value === usual || source.nodeName === "g" && name !== "opacity") { copy.removeAttribute(name); continue; }
      copy.setAttribute(name, /^(fill|stroke)$/.test(name) && value !== "none" ? literal(value)[0] : value);
    }
    for (const name of ["class", "role", "style", "tabindex", "aria-description", "data-numbers", "data-configuration"]) copy.removeAttribute(name);
    [...source.children].forEach((child, place) => { if (!/^(title|desc)$/.test(child.nodeName)) styled(child, copy.children[place]); });
  };
  const LEFT_OUT = ".save, .filters, .more, .unseen, svg, script, select, summary";
  const lettering = (card, put) => {
    const walker = document.createTreeWalker(card, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      if (node.parentElement.closest(LEFT_OUT) || !node.data.trim()) continue;
      const style = getComputedStyle(node.parentElement), size = parseFloat(style.fontSize);
      let written = null;
      const boxes = (start, end) => {
        const range = document.createRange();
        range.setStart(node, start);
        range.setEnd(node, end);
        return [...range.getClientRects()].filter((box) => box.width);
      };
      const pieces = [...node.data.matchAll(/[^\s\u200b]+/g)].flatMap((word) => {
        const whole = boxes(word.index, word.index + word[0].length);
        if (whole.length < 2) return whole.map((box) => [word[0], box]);
        return [...word[0]].flatMap((letter, place) => boxes(word.index + place, word.index + place + 1).slice(0, 1).map((box) => [letter, box]));
      });
      for (const [piece, box] of pieces) {
        const middle = box.top + box.height / 2 + size * 0.36;
        if (written && Math.abs(written.y - middle) < 2) { written.words += (box.left - written.right > 1 ? " " : "") + piece; written.right = box.right; continue; }
        written = { words: piece, x: box.left, y: middle, right: box.right, size, weight: style.fontWeight, colour: literal(style.color)[0] };
        put.push(written);
      }
    }
  };
  const signs = (card, add) => {
    for (const key of card.querySelectorAll(".key")) {
      const style = getComputedStyle(key, "::before"), box = key.getClientRects()[0];
      if (!box || style.content === "none") continue;
      const left = box.left + parseFloat(style.marginLeft), wide = parseFloat(style.borderTopWidth);
      const dashes = { dashed: `${3 * wide} ${2 * wide}`, dotted: `${wide} ${wide}` }[style.borderTopStyle];
      add(drawn("line", { x1: left, x2: left + parseFloat(style.width), y1: box.top + box.height / 2, y2: box.top + box.height / 2, stroke: literal(style.borderTopColor)[0], "stroke-width": wide, ...(dashes ? { "stroke-dasharray": dashes } : {}) }), box);
    }
    for (const patch of card.querySelectorAll("td, th, .swatch, .track, .fill")) {
      const box = patch.getBoundingClientRect(), [fill, opacity] = literal(getComputedStyle(patch).backgroundColor);
      if (opacity && box.width) add(drawn("rect", { x: box.left, y: box.top, width: box.width, height: box.height, fill, "fill-opacity": opacity }), box);
    }
  };
  const picture = (card, title) => {
    const root = document.documentElement, theme = root.dataset.theme;
    root.dataset.theme = "light";
    const origin = card.getBoundingClientRect(), page = drawn("svg", { xmlns: SVG }), body = drawn("g", {});
    const ends = { left: Infinity, top: Infinity, right: 0, bottom: 0 };
    const add = (made, box) => {
      ends.left = Math.min(ends.left, box.left); ends.top = Math.min(ends.top, box.top);
      ends.right = Math.max(ends.right, box.right); ends.bottom = Math.max(ends.bottom, box.bottom);
      body.append(made);
    };
    signs(card, add);
    for (const image of card.querySelectorAll("img")) {
      const box = image.getBoundingClientRect();
      if (box.width) add(drawn("image", { href: image.src, x: box.left, y: box.top, width: box.width, height: box.height }), box);
    }
    for (const source of card.querySelectorAll("svg")) {
      const box = source.getBoundingClientRect();
      if (!box.width) continue;
      const copy = source.cloneNode(true);
      styled(source, copy);
      for (const [name, value] of Object.entries({ x: box.left, y: box.top, width: box.width, height: box.height, overflow: "visible" })) copy.setAttribute(name, typeof value === "number" ? Number(value.toFixed(2)) : value);
      add(copy, box);
    }
    const words = [];
    lettering(card, words);
    for (const one of words) {
      const box = { left: one.x, top: one.y - one.size, right: one.right, bottom: one.y + 3 };
      add(drawn("text", { x: one.x, y: one.y, "font-size": one.size, "font-weight": one.weight, fill: one.colour }, one.words), box);
    }
    root.dataset.theme = theme;
    const air = 12, wide = ends.right - ends.left + 2 * air, tall = ends.bottom - ends.top + 2 * air;
    page.append(drawn("title", {}, title), drawn("rect", { width: "100%", height: "100%", fill: "#ffffff" }), body);
    body.setAttribute("transform", `translate(${(air - ends.left).toFixed(2)} ${(air - ends.top).toFixed(2)})`);
    body.setAttribute("font-family", getComputedStyle(document.body).fontFamily.replaceAll('"', "'"));
    for (const [name, value] of Object.entries({ viewBox: `0 0 ${wide.toFixed(0)} ${tall.toFixed(0)}`, width: wide.toFixed(0), height: tall.toFixed(0), "font-size": "11px" })) page.setAttribute(name, value);
    return origin.width ? page : null;
  };
  const printAlone = (page) => {
    const sheet = document.createElement("div");
    sheet.className = "sheet";
    sheet.append(page);
    document.body.append(sheet);
    document.documentElement.classList.add("one-figure");
    window.addEventListener("afterprint", () => {
      sheet.remove();
      document.documentElement.classList.remove("one-figure");
    }, { once: true });
    window.print();
  };

  // The buttons, at the lower end of every card that holds a chart, pictures or a table of numbers.
  for (const card of main.querySelectorAll(".card")) {
    const section = card.closest("section");
    const drawings = [...card.querySelectorAll("svg[role=img]")];
    const numbered = drawings.filter((one) => one.dataset.numbers);
    const tables = [...card.querySelectorAll("table")].filter((one) => one.tHead && !one.querySelector("img"));
    const shown = drawings.length || card.querySelector("img");
    if (!section || (!shown && !tables.length) || card.querySelector(".card")) continue;
    const cards = [...section.querySelectorAll(".card")];
    const apart = card.querySelector("h3") || (card.closest("details")?.querySelectorAll(".card").length === 1 && card.closest("details").querySelector("summary"));
    const title = plain(section.querySelector("h2")?.textContent || "") + (cards.indexOf(card) > 0 ? `: ${apart ? plain(apart.textContent) : titleOf(tables[0] || drawings[0] || card.querySelector("img"))}` : "");
    const number = cards.indexOf(card) ? `-${cards.indexOf(card) + 1}` : "";
    const file = (kind) => `${main.dataset.study}-${section.id}${number}.${kind}`;
    const bar = document.createElement("div");
    bar.className = "save";
    const button = (shown, what, act) => {
      const made = document.createElement("button");
      made.type = "button";
      made.textContent = shown;
      made.setAttribute("aria-label", `Save ${title}${what} as ${shown}`);
      made.addEventListener("click", act);
      bar.append(made);
    };
    if (shown) {
      button("SVG", "", () => save(`${new XMLSerializer().serializeToString(picture(card, title))}\n`, "image/svg+xml", file("svg")));
      button("PDF", "", () => printAlone(picture(card, title)));
    }
    const both = numbered.length && tables.length;
    if (numbered.length) button("CSV", both ? " (the chart)" : "", () => save(numbersCsv(numbered), "text/csv", file("csv")));
    if (tables.length) button("CSV", both ? " (the table)" : "", () => save(tablesCsv(tables), "text/csv", both ? file("csv").replace(".csv", "-table.csv") : file("csv")));
    card.append(bar);
  }
})();
