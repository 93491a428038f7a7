"use strict";
// Two to four models side by side: all their figures with ratios to the first, and where their time goes.
(() => {
  const { models, state } = State, place = document.getElementById("side");
  if (!place) return;
  const joined = (text) => text.replace(/ (?![[(])/g, "\u00a0"); // a narrow cell breaks before an interval, never in it
  const shown = (unit, value, span) => joined(Pick.quantity(models.units, unit, value, span));
  const element = (tag, text, more = {}) => Object.assign(document.createElement(tag), { textContent: text, ...more });

  // Interval of a ratio or of a difference, put together from those of the two values, each side by itself
  // (bench/analysis/comparison.py and statistics.newcombe); a value without one counts as exact.
  function ratio([a, aLow = a, aHigh = a], [b, bLow = b, bHigh = b]) {
    const shift = Math.log(b / a), down = Math.hypot(Math.log(b / bLow), Math.log(aHigh / a)), up = Math.hypot(Math.log(bHigh / b), Math.log(a / aLow));
    return [shift, shift - down, shift + up].map(Math.exp);
  }
  function difference([a, aLow = a, aHigh = a], [b, bLow = b, bHigh = b]) {
    return [b - a, b - a - Math.hypot(b - bLow, aHigh - a), b - a + Math.hypot(bHigh - b, a - aLow)];
  }

  // E.g. "0.65× [0.62, 0.68]" or "+1.5 points [0.9, 2.1]", and whether that is better than the first.
  function against(one, first, other) {
    if (!first || !other || one.better === "neither") return null;
    const points = one.unit === "percent", sure = first.length > 1 || other.length > 1;
    if (!points && !(first[0] > 0 && other[0] > 0)) return null;
    const [middle, low, high] = points ? difference(first, other) : ratio(first, other), even = points ? 0 : 1;
    const number = (value) => points ? `${value >= 0 ? "+" : ""}${value.toFixed(1)}` : Pick.significant(value, 3);
    const text = joined(`${number(middle)}${points ? " points" : "×"}${sure ? ` [${number(low)}, ${number(high)}]` : ""}`);
    const apart = sure ? low > even || high < even : one.counted && !points && middle !== even; // else it may be noise
    const better = !apart ? "" : (middle > even) === (one.better === "more") ? "faster" : "slower";
    return { text, better };
  }

  function head(names, first) {
    const row = document.createElement("tr");
    row.append(element("th", first, { scope: "col" }));
    for (const name of names) {
      const cell = element("th", name, { scope: "col" });
      const off = element("button", "×", { type: "button", className: "off", title: `Take ${name} out` });
      off.setAttribute("aria-label", `Take ${name} out`);
      off.addEventListener("click", () => State.set({ side: state.side.filter((other) => other !== name) }));
      cell.append(" ", off);
      row.append(cell);
    }
    const thead = document.createElement("thead");
    thead.append(row);
    return thead;
  }

  function figures(names) {
    const table = element("table", "", { className: "beside" }), body = document.createElement("tbody");
    table.append(element("caption", `All figures; ratios and differences are to ${names[0]}`), head(names, "Figure"));
    for (const one of models.quantities) {
      const values = names.map((name) => models.known[name][one.name]);
      if (!values.some(Boolean)) continue;
      const row = document.createElement("tr");
      row.append(element("th", one.label, { scope: "row" }));
      values.forEach((value, i) => {
        const cell = element("td", value ? shown(one.unit, value[0], value.length > 1 ? value.slice(1) : null) : "not known");
        const change = i ? against(one, values[0], value) : null;
        if (change) cell.append(element("span", change.text, { className: `change ${change.better}` }));
        row.append(cell);
      });
      body.append(row);
    }
    table.append(body);
    return table;
  }

  // Shares of one profiled inference, laid over p50: profiling slows each layer, so that only shares say something.
  function layers(names) {
    const profiled = names.filter((name) => models.kinds[name]);
    if (!profiled.length) return null;
    const share = (name, kind) => (models.kinds[name][kind] ?? 0) / (Object.values(models.kinds[name]).reduce((a, b) => a + b, 0) || 1);
    const times = (name, kind) => share(name, kind) * models.known[name].p50[0];
    const longest = Math.max(...profiled.flatMap((name) => Object.keys(models.kind_names).map((kind) => times(name, kind))));
    const table = element("table", "", { className: "beside" }), body = document.createElement("tbody");
    table.append(element("caption", "Where their time goes: p50 by the shares of one profiled inference"), head(names, "Kind of layer"));
    for (const [kind, [label, colour]] of Object.entries(models.kind_names)) {
      if (!profiled.some((name) => share(name, kind))) continue;
      const row = document.createElement("tr");
      row.append(element("th", label, { scope: "row" }));
      for (const name of names) {
        const cell = document.createElement("td");
        if (!models.kinds[name]) cell.textContent = "not profiled";
        else {
          cell.textContent = `${shown("ms", times(name, kind))} (${Math.round(100 * share(name, kind))}\u00a0%)`;
          const bar = element("span", "", { className: "bar" });
          bar.style.width = `${100 * times(name, kind) / longest}%`;
          bar.style.background = colour;
          cell.append(bar);
        }
        row.append(cell);
      }
      body.append(row);
    }
    table.append(body);
    return table;
  }

  const boxes = new Map();
  for (const row of document.querySelectorAll("#table tbody tr[data-case]")) {
    const name = row.dataset.case;
    if (!models.known[name]) continue;
    const box = Object.assign(document.createElement("input"), { type: "checkbox", className: "side", autocomplete: "off" });
    box.setAttribute("aria-label", `Side by side: ${name}`);
    box.addEventListener("change", () => State.set({ side: box.checked ? [...state.side, name] : state.side.filter((other) => other !== name) }));
    row.cells[0].prepend(box);
    boxes.set(name, box);
  }

  State.watch(() => {
    const names = state.side.filter((name) => models.known[name]), full = names.length >= State.AT_MOST;
    for (const [name, box] of boxes) {
      box.checked = names.includes(name);
      box.disabled = full && !box.checked;
    }
    const content = document.getElementById("beside-tables");
    if (names.length < 2) {
      const note = element("p", names.length ? `${names[0]} and which other? Tick one more in the ` : "Tick two to four models in the ", { className: "note" });
      note.append(element("a", "table of all models", { href: "#models-heading" }), ".");
      content.replaceChildren(note);
      return;
    }
    const scroll = (table) => {
      const around = element("div", "", { className: "scroll", tabIndex: 0 });
      around.setAttribute("role", "region");
      around.setAttribute("aria-label", table.caption.textContent);
      around.append(table);
      return around;
    };
    content.replaceChildren(...[figures(names), layers(names)].filter(Boolean).map(scroll));
  });
})();
