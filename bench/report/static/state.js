"use strict";
// What the reader asked for: limits, the model to be as accurate as, and the models side by side. It stands in the
// address behind "#", as `bench pick` would be told it, so that a link shows another reader the same.
const State = (() => {
  const models = JSON.parse(document.getElementById("models").textContent);
  const AT_MOST = 4; // models side by side
  const state = { limits: {}, like: null, side: [], at: null }, watchers = [];
  const known = new Set((models.candidates ?? []).map((c) => c.case));

  function written() {
    const text = new URLSearchParams();
    for (const [name, value] of Object.entries(state.limits)) text.append(name, Pick.typed(models.units, models.limits[name].unit, value));
    if (state.like) text.append("like", state.like);
    for (const name of state.side) text.append("side", name);
    if (state.at && text.size) text.append("at", state.at);
    return text.toString();
  }

  // Browsers allow only so many changes of the address: one for each pause. An address that came since, whose event is
  // still on its way, is read and not written over.
  let waiting = null, last = location.hash;
  function write() {
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      if (location.hash !== last) return read();
      const text = written(), base = location.href.split("#")[0];
      history.replaceState(null, "", text || state.at ? `${base}#${text || state.at}` : base);
      last = location.hash;
    }, 150);
  }

  // An address without "=" is a place on the page: it joins what was asked for.
  function read() {
    const text = location.hash.slice(1);
    last = location.hash;
    if (!text.includes("=")) {
      state.at = text || null;
      if (written()) write();
      return;
    }
    const asked = new URLSearchParams(text), limits = {};
    for (const [name, about] of Object.entries(models.limits ?? {})) {
      const value = asked.has(name) ? Pick.parsed(models.units, about.unit, asked.get(name)) : null;
      if (value !== null && Pick.objection(models, name, value) === null) limits[name] = value;
    }
    const like = asked.get("like");
    set({
      limits, like: known.size && Pick.named(models).includes(like) ? like : null,
      side: [...new Set(asked.getAll("side"))].filter((name) => known.has(name)).slice(0, AT_MOST), at: asked.get("at"),
    });
    if (state.at) document.getElementById(state.at)?.scrollIntoView();
  }

  function set(change) {
    Object.assign(state, change);
    for (const watcher of watchers) watcher(state);
    write();
  }

  function link() {
    const text = written();
    return location.href.split("#")[0] + (text ? `#${text}` : "");
  }

  addEventListener("hashchange", read);
  queueMicrotask(() => { set({}); read(); }); // when every other part of the script stands
  return { models, state, set, link, AT_MOST, watch: (watcher) => watchers.push(watcher) };
})();
