"use strict";
(() => {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const drawn = read("figures"), models = read("models");
  const families = models.families ?? {}, hidden = new Set(), others = new Set();
  const options = { displaylogo: false, typesetMath: false, displayModeBar: "hover", modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] };
  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const printing = matchMedia("print");

  // Colours follow the page's theme; everything else was decided when the page was made.
  function themed(layout) {
    const ink = style("--ink"), grid = style("--grid"), paper = style("--paper");
    const copy = structuredClone(layout);
    copy.paper_bgcolor = copy.plot_bgcolor = "rgba(0,0,0,0)";
    copy.font.color = ink;
    copy.hoverlabel = { bgcolor: paper, bordercolor: ink, font: { color: ink }, align: "left" };
    for (const axis of ["xaxis", "yaxis"]) Object.assign(copy[axis], { gridcolor: grid, linecolor: ink, tickcolor: ink });
    return copy;
  }

  // A figure as drawn for one frame; what the narrow one shares with the wide one is stored once.
  function figureOf(id, form) {
    const { wide, narrow } = others.has(id) ? drawn[id].other : drawn[id];
    if (form === "wide") return structuredClone(wide);
    const alike = wide.data.length === narrow.data.length;
    return structuredClone({ layout: narrow.layout, data: narrow.data.map((trace, i) => alike ? { ...wide.data[i], ...trace } : trace) });
  }

  // What is left of a trace when only some of its points are kept: every list with a value for each point is cut down.
  const sift = (value, keep) =>
    Array.isArray(value) ? (value.length === keep.length ? value.filter((_, i) => keep[i]) : value)
      : value && typeof value === "object" ? Object.fromEntries(Object.entries(value).map(([key, x]) => [key, sift(x, keep)])) : value;

  function filtered(trace) {
    if (hidden.has(trace.legendgroup)) return { ...trace, visible: "legendonly" };
    const owners = Array.isArray(trace.customdata) ? trace.customdata : trace.case ? [trace.case] : [];
    const keep = owners.map((name) => !hidden.has(families[name]));
    if (keep.every(Boolean)) return trace;
    return Array.isArray(trace.customdata) ? sift(trace, keep) : { ...trace, visible: "legendonly" };
  }

  function drawOne(id) {
    const wide = document.documentElement.clientWidth >= 1100;
    const figure = figureOf(id, wide ? "wide" : "narrow"), layout = themed(figure.layout);
    const place = document.getElementById(id);
    if (!wide) layout.width = Math.max(layout.width, Math.min(place.clientWidth, 700));
    // The outline of a centre is the ink's colour, so that its shape stands out in both themes.
    for (const trace of figure.data) if (trace.meta === "centres") trace.marker.line.color = trace.marker.line.color.map((c) => c === models.ink ? style("--ink") : c);
    layout.annotations = (layout.annotations ?? []).filter((note) => !hidden.has(families[note.name]));
    if (layout.meta) layout.shapes = Limits.shapes(layout);
    place.style.minHeight = `${layout.height}px`;
    const first = !place.dataset.form;
    ends.set(place, Promise.resolve(Plotly.react(place, figure.data.map(filtered), layout, options)));
    place.dataset.form = wide ? "wide" : "narrow";
    if (first) listen(place);
    tag(place);
  }

  // One after the other, so that the page answers while the rest is drawn. Never for print: the style sheet scales what
  // is there, and Plotly measures wrongly under a scale.
  let turn = 0;
  // Plotly finishes a change after it has returned; a second one begun before that can leave the legend in the plot.
  const ends = new Map();
  const after = (place, change) => { const end = (ends.get(place) ?? Promise.resolve()).then(change); ends.set(place, end); return end; };
  async function draw() {
    if (printing.matches) return;
    const mine = ++turn;
    for (const id of Object.keys(drawn)) {
      drawOne(id);
      if (!document.documentElement.dataset.ready) performance.mark(`drawn ${id}`);
      await new Promise((resume) => setTimeout(resume));
      if (mine !== turn) return;
    }
    document.documentElement.dataset.ready = "yes";
    document.documentElement.dataset.turn = String(turn);
  }

  function listen(place) {
    const nameOf = (event) => event.points?.[0]?.customdata ?? event.points?.[0]?.data.case ?? null;
    place.on("plotly_hover", (event) => preview(nameOf(event)));
    place.on("plotly_unhover", () => preview(null));
    place.on("plotly_click", (event) => pin(nameOf(event)));
    place.on("plotly_afterplot", () => tag(place));
    const ofFamily = (change) => (event) => {
      const name = event.data[event.curveNumber].legendgroup;
      if (!Object.values(families).includes(name)) return true;
      change(name);
      return false;
    };
    place.on("plotly_legendclick", ofFamily((name) => show(name, hidden.has(name))));
    place.on("plotly_legenddoubleclick", ofFamily((name) => {
      for (const other of new Set(Object.values(families))) hidden[other === name ? "delete" : "add"](other);
      refilter();
    }));
  }

  // Every mark and name learns whose it is, so that one model can be shown in all figures.
  function tag(place) {
    for (const group of place.querySelectorAll("g.trace")) {
      const trace = group.__data__?.[0]?.trace;
      if (!trace) continue;
      const data = place.data[trace.index];
      for (const mark of group.querySelectorAll(".point, .errorbar")) {
        const owner = Array.isArray(trace.customdata) ? trace.customdata[mark.__data__?.i] : data?.case;
        if (owner !== undefined) mark.dataset.case = owner;
      }
    }
    for (const note of place.querySelectorAll(".annotation[data-index]")) {
      const owner = place.layout.annotations[note.dataset.index]?.name;
      if (owner) note.dataset.case = owner;
    }
    Limits.mark(place);
    declutter(place);
    light(place);
  }

  // Names were placed for two widths and one font; at any other, and after zooming, one that lies on another is hidden.
  function declutter(place) {
    const kept = [];
    const first = (note) => note.matches(".won") ? 0 : note.matches(".tied") ? 1 : 2;
    for (const note of [...place.querySelectorAll(".annotation[data-index]")].sort((a, b) => first(a) - first(b))) {
      const text = note.querySelector(".annotation-text");
      if (!text?.textContent) continue;
      const a = text.getBoundingClientRect();
      const hidden = kept.some((b) => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 2 && b.top < a.bottom - 2);
      note.classList.toggle("hidden", hidden);
      if (!hidden) kept.push(a);
    }
  }

  let pinned = null, pointed = null;
  function light(place) {
    const name = pointed ?? pinned;
    const marks = [...place.querySelectorAll("[data-case]")];
    for (const mark of marks) mark.classList.toggle("lit", mark.dataset.case === name);
    place.classList.toggle("one", marks.some((mark) => mark.classList.contains("lit")));
  }
  function lightAll() {
    for (const id of Object.keys(drawn)) light(document.getElementById(id));
    for (const row of document.querySelectorAll("tr[data-case]")) {
      row.classList.toggle("lit", row.dataset.case === (pointed ?? pinned));
      row.querySelector("button.model")?.setAttribute("aria-pressed", String(row.dataset.case === pinned));
    }
  }
  function preview(name) { if (pointed !== name) { pointed = name; lightAll(); } }
  function pin(name) { pinned = pinned === name ? null : name; lightAll(); }
  addEventListener("keydown", (event) => { if (event.key === "Escape") { pinned = pointed = null; lightAll(); } });
  for (const row of document.querySelectorAll("tr[data-case]")) {
    if (!(row.dataset.case in families)) continue;
    row.addEventListener("mouseenter", () => preview(row.dataset.case));
    row.addEventListener("mouseleave", () => preview(null));
    if (!row.closest("#table")) continue;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "model";
    button.textContent = row.cells[0].textContent;
    button.setAttribute("aria-pressed", "false");
    button.addEventListener("click", () => pin(row.dataset.case));
    button.addEventListener("focus", () => preview(row.dataset.case));
    button.addEventListener("blur", () => preview(null));
    row.cells[0].replaceChildren(button);
  }

  // A figure's other way to be drawn, such as on a logarithmic axis.
  for (const button of document.querySelectorAll("button.other")) button.addEventListener("click", () => {
    const id = button.dataset.figure;
    others[others.has(id) ? "delete" : "add"](id);
    button.setAttribute("aria-pressed", String(others.has(id)));
    drawOne(id);
  });

  // Families: the checkboxes and every figure's legend do the same.
  const boxes = [...document.querySelectorAll("#filter input")];
  function refilter() {
    for (const box of boxes) box.checked = !hidden.has(box.dataset.family);
    for (const row of document.querySelectorAll("#table tr[data-case]")) row.classList.toggle("out", hidden.has(families[row.dataset.case]));
    draw();
  }
  function show(name, shown) { hidden[shown ? "delete" : "add"](name); refilter(); }
  for (const box of boxes) box.addEventListener("change", () => show(box.dataset.family, box.checked));

  // A heading sorts its table: numbers by size, names by the alphabet, what is missing last.
  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
      const descending = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      const sign = descending ? -1 : 1;
      const rows = [...table.tBodies[0].rows].sort((a, b) => {
        const x = a.cells[column].dataset.value, y = b.cells[column].dataset.value;
        if (x === "" || y === "") return (x === "") - (y === "");
        return sign * (isNaN(x) || isNaN(y) ? x.localeCompare(y) : x - y);
      });
      table.tBodies[0].append(...rows);
    }));
  }

  // Limits move: lines and shade in the figures, and who is within them, there and in the tables.
  let moving = null;
  State.watch(() => {
    cancelAnimationFrame(moving);
    moving = requestAnimationFrame(() => {
      for (const row of document.querySelectorAll("#table")) Limits.mark(row);
      for (const id of Object.keys(drawn)) {
        const place = document.getElementById(id);
        if (!place.dataset.form) continue;
        after(place, () => {
          const shapes = place.layout.meta ? Limits.shapes(place.layout) : [];
          if (place.layout.meta && (shapes.length || place.layout.shapes?.length)) return Plotly.relayout(place, { shapes });
        }).then(() => { Limits.mark(place); declutter(place); });
      }
    });
  });

  draw();
  let width = document.documentElement.clientWidth;
  addEventListener("resize", () => {
    if (!printing.matches && document.documentElement.clientWidth !== width) { width = document.documentElement.clientWidth; draw(); }
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
})();
