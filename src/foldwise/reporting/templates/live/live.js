// A page that foldwise serves tells how far the study is, and shows new results without losing the reader's place.
(function () {
  const main = document.querySelector("main");
  const make = (tag, attributes, words) => {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    if (words) made.textContent = words;
    return made;
  };
  const strip = make("div", { class: "live", role: "region", "aria-label": "Progress of the study" });
  const bar = make("progress", { "aria-label": "Items that are done", max: "1", value: "0" });
  const far = make("p", { role: "status" }, "Asking how far it is …");
  const running = make("ul", { class: "plain" });
  const fresh = make("button", { type: "button" }, "Show the new results");
  fresh.hidden = true;
  strip.append(bar, far, fresh, running);
  main.querySelector("header").after(strip);

  const PLACE = "foldwise-place";
  let moved = 0;
  for (const kind of ["pointerdown", "keydown", "wheel", "touchstart", "scroll"]) addEventListener(kind, () => { moved = Date.now(); }, { passive: true });
  // What the reader did to the page, by names that stay when results are added.
  const named = (selector, words) => {
    const seen = new Map();
    return [...document.querySelectorAll(selector)].map((one) => {
      const name = `${one.closest("section")?.id} ${words(one)}`, number = seen.get(name) || 0;
      seen.set(name, number + 1);
      return [`${name} ${number}`, one];
    });
  };
  const details = () => named("details", (one) => one.querySelector("summary")?.textContent);
  const heads = () => named("th[data-sort]", (one) => one.textContent);
  const controls = () => named("#filters input, #filters select", (one) => one.parentElement.firstChild.textContent);
  const reload = () => {
    const sections = [...document.querySelectorAll("section[id]")].filter((one) => one.getBoundingClientRect().top <= 80);
    const last = sections.at(-1);
    const place = {
      at: last?.id || "",
      by: last ? last.getBoundingClientRect().top : -scrollY,
      theme: document.documentElement.dataset.theme,
      open: details().flatMap(([name, one]) => (one.open ? [name] : [])),
      sorted: heads().flatMap(([name, one]) => (one.ariaSort ? [[name, one.ariaSort]] : [])),
      filtered: controls().flatMap(([name, one]) => (one.value ? [[name, one.value]] : [])),
    };
    try { sessionStorage.setItem(PLACE, JSON.stringify(place)); } catch { /* then the page begins at its top */ }
    location.reload();
  };
  const restore = (place) => {
    const folded = new Map(details()), head = new Map(heads()), control = new Map(controls());
    for (const name of place.open) if (folded.has(name)) folded.get(name).open = true;
    for (const [name, way] of place.sorted) {
      for (let tries = 0; tries < 2 && head.has(name) && head.get(name).ariaSort !== way; tries += 1) head.get(name).querySelector("button").click();
    }
    for (const [name, value] of place.filtered) {
      if (!control.has(name)) continue;
      control.get(name).value = value;
      for (const kind of ["input", "change"]) control.get(name).dispatchEvent(new Event(kind));
    }
    if (place.theme && place.theme !== document.documentElement.dataset.theme) document.querySelector("button.theme")?.click();
    const one = place.at && document.getElementById(place.at);
    const top = one ? one.getBoundingClientRect().top + scrollY - place.by : -place.by;
    document.documentElement.style.scrollBehavior = "auto";
    scrollTo(0, top);
    document.documentElement.style.scrollBehavior = "";
  };
  fresh.addEventListener("click", reload);
  try {
    const place = JSON.parse(sessionStorage.getItem(PLACE));
    sessionStorage.removeItem(PLACE);
    if (place) {
      history.scrollRestoration = "manual";
      restore(place);
    }
  } catch { /* nothing was kept */ }

  const EVERY_MS = 2000, QUIET_MS = 8000;
  const words = (state) => {
    const parts = [`${state.done} of ${state.total} items done`];
    if (state.failed) parts.push(`${state.failed} failed or skipped`);
    if (state.finished) parts.push("the study has come to its end");
    else if (!state.running.length) parts.push("nothing is being done at this moment");
    if (state.problem) parts.push(`the newest results cannot be shown: ${state.problem}`);
    return `${parts.join(" · ")}.`;
  };
  const show = (state) => {
    bar.value = state.total ? (state.done + state.failed) / state.total : 0;
    const told = words(state);
    if (far.textContent !== told) far.textContent = told;
    running.replaceChildren(...state.running.slice(0, 6).map((one) => make("li", {}, [one.title, one.far, one.score].filter(Boolean).join(" · "))));
    if (state.digest && state.digest !== main.dataset.live) {
      const busy = Date.now() - moved < QUIET_MS || document.activeElement?.matches("#filters input, #filters select");
      if (!main.dataset.live || !busy) { reload(); return; }
      fresh.hidden = false;
    }
  };
  const ask = async () => {
    try {
      const answer = await fetch("state.json");
      if (answer.ok) show(await answer.json());
    } catch {
      far.textContent = "foldwise report --serve no longer answers. What is shown is the last that was known.";
    }
    setTimeout(ask, document.hidden ? 5 * EVERY_MS : EVERY_MS);
  };
  ask();
})();
