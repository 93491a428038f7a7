"use strict";
// The limits: sliders and fields, the answer in words, and what the figures and the table show of it.
const Limits = (() => {
  const { models, state } = State;
  const form = document.getElementById("limits");
  const sliders = form ? [...form.querySelectorAll("input[type=range]")] : [];
  const field = (name) => form.querySelector(`input.exact[data-limit="${name}"]`);
  const shown = (name, value) => Pick.quantity(models.units, models.limits[name].unit, value);
  let choice = null, standings = new Map();

  // One end of each slider means none; the other steps lie evenly, of all but percentages on a logarithmic scale.
  const evenly = (slider) => models.limits[slider.dataset.limit].unit === "percent";
  const none = (slider) => models.limits[slider.dataset.limit].at_least ? 0 : Number(slider.max);
  function valueAt(slider, step) {
    const low = Number(slider.dataset.low), high = Number(slider.dataset.high), share = step / Number(slider.max);
    return evenly(slider) ? Number((low + share * (high - low)).toFixed(1))
      : Number((low * (high / low) ** share).toPrecision(3));
  }
  function stepOf(slider, value) {
    if (value === undefined) return none(slider);
    const low = Number(slider.dataset.low), high = Number(slider.dataset.high), steps = Number(slider.max);
    const share = evenly(slider) ? (value - low) / (high - low) : Math.log(value / low) / Math.log(high / low);
    return Math.min(steps, Math.max(0, Math.round(share * steps)));
  }
  function limit(name, value) {
    const limits = { ...state.limits };
    if (value === null) delete limits[name]; else limits[name] = value;
    State.set({ limits });
  }

  function typed(input) {
    const name = input.dataset.limit, text = input.value.trim(), value = Pick.parsed(models.units, models.limits[name].unit, text);
    const wrong = text === "" ? null : value === null ? `not a number with a unit: ${text}` : Pick.objection(models, name, value);
    input.setAttribute("aria-invalid", String(wrong !== null));
    document.getElementById("objection").textContent = wrong ?? "";
    if (wrong === null) limit(name, text === "" ? null : value);
  }

  function show() {
    choice = Pick.pick(models, state.limits, state.like);
    standings = new Map(models.candidates.map((c) => [c.case, standingOf(c)]));
    for (const slider of sliders) {
      const name = slider.dataset.limit, value = state.limits[name], input = field(name);
      const text = value === undefined ? "no limit" : shown(name, value);
      if (document.activeElement !== slider) slider.value = stepOf(slider, value);
      slider.setAttribute("aria-valuetext", text);
      if (document.activeElement !== input) { input.value = value === undefined ? "" : text; input.setAttribute("aria-invalid", "false"); }
    }
    document.getElementById("like").value = state.like ?? "";
    const place = document.getElementById("said");
    place.dataset.limits = JSON.stringify(state.limits);
    place.classList.toggle("unsure", choice.trust === "unsound" || !choice.winner);
    place.replaceChildren(...Pick.inWords(models, choice).map((line) => Object.assign(document.createElement("li"), { textContent: line })));
    const quoted = (text) => /^[\w.+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
    document.getElementById("command").textContent = ["bench pick",
      ...Object.entries(state.limits).map(([name, value]) => `--${name} ${Pick.typed(models.units, models.limits[name].unit, value)}`),
      ...(state.like ? [`--like ${quoted(state.like)}`] : [])].join(" ");
  }

  // Of one model: "won", "tied", "outside" of the limits, or "" where nothing is said of it.
  function standingOf(candidate) {
    if (!choice.winner && !choice.misses.length) return "";
    if (candidate.case === choice.winner?.case) return "won";
    if (choice.ties.includes(candidate.case)) return "tied";
    return Pick.meets(models, candidate, state.limits, state.like) ? "" : "outside";
  }

  // The limits in a figure: a line for each that one of its axes can show, and shade over what lies outside.
  function shapes(layout) {
    const asked = (one) => one && state.limits[one.limit] !== undefined ? state.limits[one.limit] * one.scale : null;
    const { x, y } = layout.meta ?? {}, right = asked(x), least = asked(y), drawn = [];
    const shade = { type: "rect", layer: "below", line: { width: 0 }, fillcolor: "rgba(128,128,128,.16)" };
    const line = { type: "line", layer: "above", line: { width: 1.5, dash: "dash", color: models.ink } };
    const label = (one, more) => ({ text: `${models.limits[one.limit].label} ${models.limits[one.limit].at_least ? "≥" : "≤"} ${shown(one.limit, state.limits[one.limit])}`, font: { size: 11 }, textangle: 0, padding: 2, ...more });
    if (right !== null) {
      const end = layout.xaxis.type === "log" ? 10 ** layout.xaxis.range[1] : layout.xaxis.range[1];
      const far = Math.max(end, right) * 1e3;
      drawn.push({ ...shade, xref: "x", yref: "paper", x0: right, x1: far, y0: 0, y1: 1 });
      if (right <= end) drawn.push({ ...line, xref: "x", yref: "paper", x0: right, x1: right, y0: 0, y1: 1, label: label(x, { textposition: "end", xanchor: "left", yanchor: "top" }) });
    }
    if (least !== null) {
      drawn.push({ ...shade, xref: "paper", yref: "y", x0: 0, x1: 1, y0: layout.yaxis.range[0] - 1000, y1: least });
      if (least >= layout.yaxis.range[0]) drawn.push({ ...line, xref: "paper", yref: "y", x0: 0, x1: 1, y0: least, y1: least, label: label(y, { textposition: "start", xanchor: "left", yanchor: "bottom" }) });
    }
    return drawn;
  }

  function mark(place) {
    for (const one of place.querySelectorAll("[data-case]")) {
      const now = standings.get(one.dataset.case) ?? "";
      for (const name of ["won", "tied", "outside"]) one.classList.toggle(name, name === now);
    }
  }

  if (form) {
    for (const slider of sliders) {
      slider.addEventListener("input", () => limit(slider.dataset.limit, Number(slider.value) === none(slider) ? null : valueAt(slider, Number(slider.value))));
      const input = field(slider.dataset.limit);
      input.addEventListener("change", () => typed(input));
      input.addEventListener("blur", show);
    }
    document.getElementById("like").addEventListener("change", (event) => State.set({ like: event.target.value || null }));
    form.addEventListener("submit", (event) => event.preventDefault());
    document.getElementById("reset").addEventListener("click", () => {
      document.getElementById("objection").textContent = "";
      State.set({ limits: {}, like: null, side: [] });
      for (const slider of sliders) slider.value = none(slider);
    });
    document.getElementById("share").addEventListener("click", async () => {
      const link = document.getElementById("link"), said = document.getElementById("shared");
      link.value = State.link();
      link.hidden = false;
      link.focus();
      link.select();
      try {
        await navigator.clipboard.writeText(link.value);
        said.textContent = "copied: the page with these limits and models";
      } catch {
        said.textContent = "copy this link: the page with these limits and models";
      }
    });
    document.getElementById("beside").addEventListener("click", () => {
      State.set({ side: rivals() });
      document.getElementById("side").scrollIntoView();
      document.getElementById("side").focus({ preventScroll: true });
    });
    State.watch(show);
    State.watch(() => {
      const names = rivals();
      document.getElementById("beside").hidden = names.length < 2;
      document.getElementById("beside").textContent = `Compare ${names.join(", ")}`;
    });
  }

  // Those that a reader would hold against each other: the winner and what the answer names beside it.
  function rivals() {
    if (!choice) return [];
    const named = choice.winner
      ? [choice.winner.case, choice.like?.case, choice.why_not?.case, choice.runner_up?.case, ...choice.binding.map((step) => step.case)]
      : choice.front.length ? choice.front.map((step) => step.model.case) : choice.misses.map((miss) => miss.case);
    return [...new Set(named.filter(Boolean))].slice(0, State.AT_MOST);
  }
  return { shapes, mark };
})();
