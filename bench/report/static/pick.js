"use strict";
// The choice of bench/choice.py over the same candidates, in the same words: change both.
const Pick = (() => {
  const significant = (value) =>
    value === 0 ? "0" : value.toFixed(Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value)))));
  const latency = (p50, low, high) =>
    `${significant(p50)} ms` + (low === undefined ? "" : ` [${significant(low)}, ${significant(high)}]`);
  const percent = (value) => `${value.toFixed(1)} %`;
  const millions = (unit) => (value) => `${significant(Math.trunc(value) / 1e6)} ${unit}`;
  const shown = { ms: (value) => latency(value), bytes: millions("MB"), count: millions("M"), percent };

  const overlap = (a, b, what) =>
    a[`${what}_low`] <= b[`${what}_high`] && b[`${what}_low`] <= a[`${what}_high`];
  const sameAccuracy = (a, b) =>
    a.accuracy_low === null || b.accuracy_low === null
      ? a.accuracy === null && b.accuracy === null
      : overlap(a, b, "accuracy");
  const sameLatency = (a, b) => a.p50_ms_low <= b.p50_ms_high && b.p50_ms_low <= a.p50_ms_high;

  function broken(candidate, limits, about) {
    const found = {};
    for (const [name, allowed] of Object.entries(limits)) {
      const value = candidate.limited[name];
      if (value === null) found[name] = null;
      else if (about[name].at_least ? value < allowed : value > allowed) found[name] = Math.abs(value / allowed - 1);
    }
    return found;
  }
  const within = (candidates, limits, about) =>
    candidates.filter((candidate) => Object.keys(broken(candidate, limits, about)).length === 0);

  function ranked(candidates) {
    const byTime = (a, b) => a.p50_ms - b.p50_ms;
    const known = candidates.filter((c) => c.accuracy !== null);
    const unknown = candidates.filter((c) => c.accuracy === null).sort(byTime);
    if (!known.length) return unknown;
    const best = known.reduce((a, b) =>
      b.accuracy > a.accuracy || (b.accuracy === a.accuracy && b.p50_ms < a.p50_ms) ? b : a);
    const leading = known.filter((c) => sameAccuracy(best, c)).sort(byTime);
    const trailing = known.filter((c) => !sameAccuracy(best, c)).sort((a, b) => b.accuracy - a.accuracy || byTime(a, b));
    return [...leading, ...trailing, ...unknown];
  }

  function relaxations(candidates, limits, about, winner) {
    const found = [];
    for (const [name, allowed] of Object.entries(limits)) {
      const { [name]: _, ...without } = limits;
      const better = ranked(within(candidates, without, about))[0];
      const needed = better.limited[name];
      if (better.case === winner.case || needed === null || !(name in broken(better, { [name]: allowed }, about))) continue;
      const known = better.accuracy !== null && winner.accuracy !== null;
      found.push({ limit: name, allowed, needed, better, gain: known ? better.accuracy - winner.accuracy : null });
    }
    return found;
  }

  function pick(candidates, limits, about) {
    const [winner, ...others] = ranked(within(candidates, limits, about));
    if (!winner) {
      const distance = (c) => {
        const shares = Object.values(broken(c, limits, about));
        return [shares.includes(null) ? 1 : 0, Math.max(0, ...shares.filter((share) => share !== null))];
      };
      const nearest = candidates.map((c) => [distance(c), c])
        .sort(([a], [b]) => a[0] - b[0] || a[1] - b[1]).slice(0, 3).map(([, c]) => c);
      return { limits, winner: null, misses: nearest.map((c) => ({ case: c.case, broken: broken(c, limits, about) })) };
    }
    return {
      limits, winner, runnerUp: others[0] ?? null,
      ties: others.filter((other) => sameAccuracy(winner, other) && sameLatency(winner, other)).map((other) => other.case),
      onTheEdge: "p50" in limits && winner.p50_ms_high > limits.p50 ? ["p50"] : [],
      binding: relaxations(candidates, limits, about, winner),
    };
  }

  function inWords(choice, about, label) {
    const quantity = (name, value) => shown[about[name].unit](value);
    if (!choice.winner) {
      const missed = ([name, share]) => share === null ? `${about[name].label} unknown`
        : `${about[name].label} ${(100 * share).toFixed(1)} % ${about[name].at_least ? "under" : "over"} ${quantity(name, choice.limits[name])}`;
      return ["no model meets these limits; the nearest misses:",
        ...choice.misses.map((miss) => `${miss.case}: ${Object.entries(miss.broken).map(missed).join("; ")}`)];
    }
    const described = (c) =>
      `${c.case}: ${c.accuracy === null ? "accuracy unknown" : `${label} ${percent(c.accuracy)}`}, p50 ${latency(c.p50_ms, c.p50_ms_low, c.p50_ms_high)}`;
    const lines = [`ship ${described(choice.winner)}`];
    if (choice.ties.length) lines.push(`a tie within the noise of this run with ${choice.ties.join(", ")}: choose by size or taste`);
    for (const name of choice.onTheEdge) lines.push(`on the edge: the interval of its ${name} reaches past the limit`);
    if (choice.runnerUp) lines.push(`runner-up: ${described(choice.runnerUp)}`);
    for (const { limit, allowed, needed, better, gain } of choice.binding) {
      const points = gain === null ? "" : `, ${gain < 0 ? "" : "+"}${gain.toFixed(1)} points of ${label}`;
      lines.push(`binding: ${about[limit].label} of ${quantity(limit, allowed)}; ${quantity(limit, needed)} would let in ${better.case}${points}, p50 ${latency(better.p50_ms)}`);
    }
    if (!choice.binding.length) lines.push("no single limit keeps a better model out");
    return lines;
  }
  return { pick, inWords, quantity: (unit, value) => shown[unit](value) };
})();
