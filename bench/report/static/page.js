"use strict";
(() => {
  const drawn = JSON.parse(document.getElementById("figures").textContent);
  const options = { displaylogo: false, typesetMath: false, displayModeBar: "hover", modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] };
  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  // Colours follow the page's theme; everything else was decided when the page was made.
  function themed(layout) {
    const ink = style("--ink"), grid = style("--grid");
    const copy = structuredClone(layout);
    copy.paper_bgcolor = copy.plot_bgcolor = "rgba(0,0,0,0)";
    copy.font.color = ink;
    for (const axis of ["xaxis", "yaxis"]) Object.assign(copy[axis], { gridcolor: grid, linecolor: ink, tickcolor: ink });
    return copy;
  }

  function draw() {
    const wide = document.documentElement.clientWidth >= 1100;
    const form = wide ? "wide" : "narrow";
    for (const [id, forms] of Object.entries(drawn)) {
      const figure = forms[form], layout = themed(figure.layout);
      const place = document.getElementById(id);
      if (!wide) layout.width = Math.max(layout.width, Math.min(place.clientWidth, 700));
      Plotly.react(place, structuredClone(figure.data), layout, options);
      place.dataset.form = form;
    }
  }
  draw();
  let width = document.documentElement.clientWidth;
  addEventListener("resize", () => {
    if (document.documentElement.clientWidth !== width) { width = document.documentElement.clientWidth; draw(); }
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);

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
  document.documentElement.dataset.ready = "yes";
})();
