"use strict";
// The table of all models: a search among its rows, and which of its columns are shown.
(() => {
  const table = document.getElementById("table"), tools = document.getElementById("table-tools");
  if (!table || !tools) return;
  const heads = [...table.tHead.rows[0].cells], rows = [...table.tBodies[0].rows];
  const count = document.getElementById("found"), search = document.getElementById("search");

  function find() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
      shown += !row.hidden;
    }
    count.textContent = words.length ? `${shown} of ${rows.length} models` : "";
  }
  search.addEventListener("input", find);

  const columns = document.getElementById("columns");
  heads.forEach((head, column) => {
    if (column === 0) return;
    const label = document.createElement("label"), box = document.createElement("input");
    box.type = "checkbox";
    box.checked = true;
    box.autocomplete = "off";
    box.addEventListener("change", () => {
      for (const row of [table.tHead.rows[0], ...rows]) row.cells[column].hidden = !box.checked;
    });
    label.append(box, head.textContent);
    columns.append(label);
  });
  tools.hidden = false;
  find();
})();
