"use strict";
(() => {
  const data = JSON.parse(document.getElementById("evaluation").textContent);
  const by = (id) => document.getElementById(id);
  const slider = by("confidence"), chooser = by("class");
  const blue = "#0072B2", orange = "#D55E00", green = "#009E73";
  const options = { displaylogo: false, typesetMath: false, displayModeBar: false };
  const percent = (share) => share === null ? "–" : (100 * share).toFixed(2) + " %";
  const short = (score) => String(Number(score.toPrecision(4)));
  let chosen = data.sweeps[0];

  // Everything at one place of a sweep, from exact counts.
  function rates(sweep, i) {
    const right = sweep.right[i], wrong = sweep.wrong[i], objects = sweep.objects;
    return {
      right, wrong, unfound: objects - right, precision: right / (right + wrong),
      recall: objects ? right / objects : null, f1: (2 * right) / (right + wrong + objects),
    };
  }
  // The slider's right end is the highest confidence, a sweep's first.
  const place = () => chosen.confidence.length - 1 - Number(slider.value);

  // Text and lines take their colours from the page's style, so themes and printing need no drawing anew.
  function draw(id, traces, x, y, more) {
    const axis = { showline: true, zeroline: false, ticks: "outside" };
    const layout = {
      width: by(id).clientWidth, height: 330, margin: { l: 58, r: 12, t: 10, b: 48 }, hovermode: "closest",
      font: { size: 12, family: "system-ui, sans-serif" }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      showlegend: false, xaxis: { ...axis, ...x }, yaxis: { ...axis, ...y }, ...more,
    };
    Plotly.react(by(id), traces, layout, options);
  }
  const share = (text) => ({ title: { text }, range: [0, 1.03], tickformat: ".0%" });
  const line = (x, y, color, more) => ({ x, y, mode: "lines", line: { color, width: 2.5, ...more } });

  function curve(sweep) {
    const all = sweep.confidence.map((_, i) => rates(sweep, i));
    return { x: [0, ...all.map((r) => r.recall)], y: [all[0].precision, ...all.map((r) => r.precision)] };
  }
  const pale = `rgba(128,128,128,${data.sweeps.length > 12 ? 0.3 : 0.7})`;
  // Many curves as one pale line with gaps, behind the chosen one.
  function behind(curves, shape) {
    const x = curves.flatMap((c) => [...c.x, null]), y = curves.flatMap((c) => [...c.y, null]);
    return { ...line(x, y, pale, { width: 1, shape }), hoverinfo: "skip" };
  }
  const star = (x, y) => ({
    x: [x], y: [y], mode: "markers", marker: { symbol: "star", size: 15, color: orange, line: { color: "#fff", width: 1 } },
    hovertemplate: "best F1<extra></extra>",
  });
  const drawable = (sweep) => sweep.confidence.length > 0 && sweep.objects > 0;

  function drawChosen() {
    const s = chosen, all = s.confidence.map((_, i) => rates(s, i)), best = s.best === null ? null : all[s.best];
    const hover = "%{y:.2%} at confidence %{x}<extra></extra>";
    const lines = s.confidence.length === 0 ? [] : [
      { ...line(s.confidence, all.map((r) => r.precision), blue), name: "precision", hovertemplate: "precision " + hover },
      { ...line(s.confidence, all.map((r) => r.recall), orange, { dash: "dash" }), name: "recall", hovertemplate: "recall " + hover },
      { ...line(s.confidence, all.map((r) => r.f1), green, { dash: "dot" }), name: "F1", hovertemplate: "F1 " + hover },
    ];
    if (best) lines.push({ ...star(s.confidence[s.best], best.f1), name: "best F1" });
    draw("rates", lines, { title: { text: "confidence" } }, share(""),
      { showlegend: true, legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom" }, margin: { l: 58, r: 12, t: 34, b: 48 } });
    const curves = [behind(data.sweeps.slice(1).filter(drawable).map(curve), "vh")];
    if (drawable(s)) {
      curves.push({ ...line(curve(s).x, curve(s).y, blue, { shape: "vh" }), hovertemplate: "recall %{x:.2%}, precision %{y:.2%}<extra></extra>" });
      if (best) curves.push(star(best.recall, best.precision));
    }
    draw("pr", curves, share("recall"), share("precision"));
    const k = Number(chooser.value) - 1, presence = k < 0 ? null : data.presence[k];
    const asCurve = (p) => ({ x: p.false, y: p.true });
    const rocs = [behind(data.presence.filter(Boolean).map(asCurve), "linear"),
      { ...line([0, 1], [0, 1], "#888", { width: 1, dash: "dot" }), hoverinfo: "skip" }];
    if (presence) rocs.push({ ...line(presence.false, presence.true, blue), hovertemplate: "%{y:.2%} at %{x:.2%}<extra></extra>" });
    draw("roc", rocs, share("false positive rate"), share("true positive rate"));
    by("roc-area").textContent = k < 0 ? "Grey: every class; choose one above to see it in blue."
      : presence ? "Blue: the class chosen above." : "The class chosen above has none.";
    draw("ap", [{ x: data.thresholds, y: data.ap, mode: "lines+markers", line: { color: blue, width: 2.5 }, marker: { size: 8 },
      hovertemplate: "AP %{y:.2%} at IoU %{x}<extra></extra>" }], { title: { text: "IoU threshold" }, dtick: 0.1 },
      { title: { text: "COCO AP" }, rangemode: "tozero", tickformat: ".0%" });
  }

  let waiting = false;
  function mark() {  // where the slider stands, as lines across the figures
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      const i = place(), at = chosen.confidence[i], dash = { width: 1.5, dash: "3px,3px" };
      const down = (x) => ({ type: "line", x0: x, x1: x, y0: 0, y1: 1, yref: "paper", line: dash });
      const across = (y) => ({ type: "line", y0: y, y1: y, x0: 0, x1: 1, xref: "paper", line: dash });
      const known = chosen.confidence.length > 0, r = known ? rates(chosen, i) : null;
      Plotly.relayout(by("rates"), { shapes: known ? [down(at)] : [] });
      Plotly.relayout(by("pr"), { shapes: known && r.recall !== null ? [down(r.recall), across(r.precision)] : [] });
    });
  }

  function put(id, value, text) {
    by(id).value = value === null ? "" : String(value);
    by(id).textContent = text;
  }
  function show() {
    const i = place(), known = chosen.confidence.length > 0;
    const r = known ? rates(chosen, i)
      : { right: 0, wrong: 0, unfound: chosen.objects, precision: null, recall: chosen.objects ? 0 : null, f1: chosen.objects ? 0 : null };
    for (const name of ["precision", "recall", "f1"]) put(name, r[name], percent(r[name]));
    for (const name of ["right", "wrong", "unfound"]) put(name, r[name], r[name].toLocaleString("en"));
    const text = known ? short(chosen.confidence[i]) + (i === chosen.best ? " ★ best F1" : "") : "no detections";
    by("at").textContent = text;
    by("at").title = known ? String(chosen.confidence[i]) : "";
    slider.setAttribute("aria-valuetext", known ? `confidence ${text}, precision ${percent(r.precision)}, recall ${percent(r.recall)}` : text);
    mark();
  }
  function toBest() {
    const n = chosen.confidence.length;
    slider.value = String(n - 1 - (chosen.best === null ? n - 1 : chosen.best));
    show();
  }
  function choose() {
    chosen = data.sweeps[Number(chooser.value)];
    const n = chosen.confidence.length, best = chosen.best;
    slider.max = String(Math.max(n - 1, 0));
    slider.disabled = n < 2;
    by("to-best").disabled = best === null;
    by("best").textContent = best === null ? "No F1 is best: there are no objects or no detections."
      : `Best F1: ${percent(rates(chosen, best).f1)} at confidence ${chosen.confidence[best]}, marked by a star.`;
    by("grid").textContent = n === chosen.distinct
      ? `The slider stops at every score there is (${n.toLocaleString("en")}); numbers are exact there, nothing changes between two.`
      : `The slider stops at ${n.toLocaleString("en")} of the ${chosen.distinct.toLocaleString("en")} different scores, evenly spread by rank, the best F1's among them; numbers are exact there.`;
    drawChosen();
    toBest();
  }

  slider.addEventListener("input", show);
  chooser.addEventListener("change", choose);
  by("to-best").addEventListener("click", toBest);
  let width = document.documentElement.clientWidth;
  addEventListener("resize", () => {
    if (document.documentElement.clientWidth === width) return;
    width = document.documentElement.clientWidth;
    drawChosen();
    mark();
  });
  chooser.value = "0";
  choose();
  document.documentElement.dataset.ready = "yes";
})();
