"use strict";
// The choice of bench/analysis/choice.py over the same candidates, in the words of bench/analysis/answer.py, counting wins
// over the same draws as bench/analysis/resampling.py: change both.
const Pick = (() => {
  const NEAR = 1.1, MISSES = 3, NAMED = 3, CERTAIN = 0.95;

  // bench/units.py: `units` is its table.
  const WHOLE = ["bytes", "count", "operations"];
  const significant = (value, digits = 3) => value === 0 ? "0"
    : value.toFixed(Math.max(0, digits - 1 - Number(value.toExponential(17).split("e")[1])));
  const scaleOf = (about, value) => about.scales.filter(([from]) => from <= Math.abs(value)).at(-1) ?? about.scales[0];
  function quantity(units, unit, value, interval) {
    const about = units[unit], [, over, symbol] = scaleOf(about, value);
    const text = (number) => WHOLE.includes(unit) && over === 1 ? Math.trunc(number).toLocaleString("en-US")
      : about.places === null ? significant(number / over) : (number / over).toFixed(about.places);
    const shown = `${text(value)} ${symbol}`.trimEnd();
    return interval ? `${shown} [${text(interval[0])}, ${text(interval[1])}]` : shown;
  }
  function typed(units, unit, value) {
    const about = units[unit], [, over, symbol] = scaleOf(about, value);
    const number = String(Number((value / over).toPrecision(12)));
    return number + (symbol !== "%" && symbol.toLowerCase() in about.factors ? symbol : "");
  }

  // What a person typed, e.g. "20", "30 MB", "0.03s": a number in the base of its unit; null: none can be read.
  function parsed(units, unit, text) {
    const [, number, suffix] = /^\s*([0-9]*\.?[0-9]+(?:e[+-]?[0-9]+)?)\s*([a-z%/]*)\s*$/i.exec(text) ?? [];
    const factor = units[unit].factors[(suffix ?? "").toLowerCase()];
    return number === undefined || factor === undefined || !(Number(number) > 0) ? null : Number(number) * factor;
  }

  // bench/analysis/candidates.py: whether the interval of a difference, or of a ratio, says nothing.
  const ROUNDING = 1e-3, reaches = (gap, down, up) => gap * gap <= down * down + up * up;
  function sameAccuracy(a, b) {
    if (a.accuracy === null || b.accuracy === null) return a.accuracy === null && b.accuracy === null;
    if (Object.hasOwn(a.paired, b.case)) return Math.abs(a.accuracy - b.accuracy) <= a.paired[b.case].apart + ROUNDING;
    const [high, low] = a.accuracy >= b.accuracy ? [a, b] : [b, a];
    return reaches(high.accuracy - low.accuracy, high.accuracy - high.accuracy_low, low.accuracy_high - low.accuracy);
  }
  const gained = (c, other) => Object.hasOwn(c.paired, other.case) ? [c.paired[other.case].low, c.paired[other.case].high] : null;
  function sameLatency(a, b) {
    const [slow, fast] = a.p50_ms >= b.p50_ms ? [a, b] : [b, a];
    return reaches(Math.log(slow.p50_ms / fast.p50_ms), Math.log(slow.p50_ms / slow.p50_ms_low), Math.log(fast.p50_ms_high / fast.p50_ms));
  }
  const worth = (c) => c.accuracy ?? 0;

  // With a limit on requests a second, p99 is that of the response time under load (`under_load` of candidates.py).
  function underLoad(candidates, limits) {
    if (!("rps" in limits) || !("p99" in limits)) return candidates;
    return candidates.map((c) => {
      const { p99: _, ...intervals } = c.intervals;
      return { ...c, intervals, limited: { ...c.limited, p99: c.load_p99_ms } };
    });
  }

  function broken(candidate, limits, about) {
    const missed = {};
    for (const [name, allowed] of Object.entries(limits)) {
      const value = candidate.limited[name];
      if (value === null) missed[name] = null;
      else if (about[name].at_least ? value < allowed : value > allowed) missed[name] = Math.abs(value / allowed - 1);
    }
    return missed;
  }

  function ranked(candidates, quick) {
    const byTime = (a, b) => a.p50_ms - b.p50_ms;
    if (quick) return [...candidates].sort(byTime);
    const known = candidates.filter((c) => c.accuracy !== null);
    const unknown = candidates.filter((c) => c.accuracy === null).sort(byTime);
    if (!known.length) return unknown;
    const best = known.reduce((a, b) => b.accuracy > a.accuracy || (b.accuracy === a.accuracy && b.p50_ms < a.p50_ms) ? b : a);
    const leading = known.filter((c) => sameAccuracy(best, c)).sort(byTime);
    const trailing = known.filter((c) => !sameAccuracy(best, c)).sort((a, b) => b.accuracy - a.accuracy || byTime(a, b));
    return [...leading, ...trailing, ...unknown];
  }

  // Draws: `models.draws` holds for each candidate the thousandths by which its times and its accuracy move.
  function moved(value, [low, high], thousandths) {
    const share = thousandths / 1000;
    if (share >= 0) return value + share * (high - value);
    return low > 0 ? value / (1 - share * (value / low - 1)) : value + share * (value - low);
  }
  const shiftOf = (draws, k) => draws.accuracies.length ? draws.accuracies[k] / 1000 : 0;
  const known = new WeakMap(); // draws -> their p50s, which no limit changes
  function timesOf(c, draws) {
    if (!known.has(draws)) known.set(draws, draws.times.map((t) => moved(c.p50_ms, [c.p50_ms_low, c.p50_ms_high], t)));
    return known.get(draws);
  }
  const drawnOf = (c, draws, k) => c.accuracy === null ? null : !draws.accuracies.length ? c : {
    case: c.case, paired: c.paired, accuracy: c.accuracy + shiftOf(draws, k), accuracy_low: c.accuracy_low + shiftOf(draws, k), accuracy_high: c.accuracy_high + shiftOf(draws, k),
  };

  // The values of a limited quantity in each resample; null where it is not known.
  function valuesOf(candidate, draws, name, about) {
    const value = candidate.limited[name], span = candidate.intervals[name];
    if (value === null) return null;
    if (about[name].accuracy) return draws.times.map((_, k) => value + shiftOf(draws, k));
    return draws.times.map((t) => span ? moved(value, span, t) : value);
  }

  // How many resamples each candidate wins.
  function winsOf(candidates, draws, limits, about, quick, like) {
    const resamples = draws[0].times.length, counts = candidates.map(() => 0);
    const times = candidates.map((c, i) => timesOf(c, draws[i]));
    const meets = candidates.map((c, i) => {
      const met = new Array(resamples).fill(true);
      for (const [name, allowed] of Object.entries(limits)) {
        const values = valuesOf(c, draws[i], name, about);
        for (let k = 0; k < resamples; k++) met[k] &&= values !== null && (about[name].at_least ? values[k] >= allowed : values[k] <= allowed);
      }
      return met;
    });
    for (let k = 0; k < resamples; k++) {
      const drawn = candidates.map((c, i) => drawnOf(c, draws[i], k));
      const within = [];
      for (let i = 0; i < candidates.length; i++) {
        if (!meets[i][k]) continue;
        if (like === null || (drawn[i] && (drawn[i].accuracy >= drawn[like].accuracy || sameAccuracy(drawn[i], drawn[like])))) within.push(i);
      }
      const fastest = (some) => some.reduce((a, b) => times[b][k] < times[a][k] ? b : a);
      const known = quick ? [] : within.filter((i) => drawn[i]);
      if (known.length) {
        const most = Math.max(...known.map((i) => drawn[i].accuracy));
        const best = drawn[fastest(known.filter((i) => drawn[i].accuracy === most))];
        counts[fastest(known.filter((i) => sameAccuracy(drawn[i], best)))] += 1;
      } else if (within.length) counts[fastest(within)] += 1;
    }
    return counts;
  }

  // In how many resamples each candidate of known accuracy is on the front.
  function onFront(candidates, draws) {
    const resamples = draws[0].times.length, counts = candidates.map(() => 0), times = candidates.map((c, i) => timesOf(c, draws[i]));
    const known = [...candidates.keys()].filter((i) => candidates[i].accuracy !== null);
    for (let k = 0; k < resamples; k++) {
      const points = known.map((i) => [i, times[i][k], candidates[i].accuracy + shiftOf(draws[i], k)]).sort((a, b) => a[1] - b[1] || b[2] - a[2]);
      let best = -Infinity, at = NaN;
      for (const [i, time, accuracy] of points) {
        if (accuracy > best) { best = accuracy; at = time; counts[i] += 1; } else if (accuracy === best && time === at) counts[i] += 1;
      }
    }
    return counts;
  }

  function frontOf(candidates, draws) {
    const counts = new Map(onFront(candidates, draws).map((count, i) => [candidates[i].case, count]));
    const known = candidates.filter((c) => c.accuracy !== null), steps = [];
    for (const model of [...(known.length ? known : candidates)].sort((a, b) => a.p50_ms - b.p50_ms || worth(b) - worth(a))) {
      const before = steps.at(-1)?.model;
      if (!before) steps.push({ model, cost_ms: null, gain: null, same: false, resamples: counts.get(model.case), gain_interval: null });
      else if (worth(model) > worth(before)) {
        steps.push({ model, cost_ms: model.p50_ms - before.p50_ms, gain: worth(model) - worth(before), same: sameAccuracy(before, model),
          resamples: counts.get(model.case), gain_interval: gained(model, before) });
      }
    }
    return steps;
  }

  function whyNot(winner, others) {
    if (winner.accuracy === null) return null;
    const [next] = others.filter((c) => c.accuracy !== null && c.accuracy > winner.accuracy)
      .sort((a, b) => a.accuracy - b.accuracy || a.p50_ms - b.p50_ms);
    return next ? { case: next.case, gain: next.accuracy - winner.accuracy, times: next.p50_ms / winner.p50_ms, same: sameAccuracy(winner, next),
      gain_interval: gained(next, winner) } : null;
  }

  function beats(candidate, winner, quick) {
    if (quick || (candidate.accuracy === null && winner.accuracy === null)) return candidate.p50_ms_high < winner.p50_ms_low;
    if (candidate.accuracy === null || winner.accuracy === null) return candidate.accuracy !== null;
    return candidate.accuracy > winner.accuracy && !sameAccuracy(candidate, winner);
  }

  function bindingOf(candidates, limits, about, winner, quick) {
    const steps = [];
    for (const [name, allowed] of Object.entries(limits)) {
      for (const c of candidates) {
        const missed = broken(c, limits, about), share = missed[name] ?? null;
        if (Object.keys(missed).length !== 1 || share === null || !beats(c, winner, quick)) continue;
        const both = c.accuracy !== null && winner.accuracy !== null;
        steps.push({ limit: name, allowed, needed: c.limited[name], share, case: c.case, p50_ms: c.p50_ms, accuracy: c.accuracy,
          gain: both ? c.accuracy - winner.accuracy : null, times: c.p50_ms / winner.p50_ms, largest: false, gain_interval: gained(c, winner) });
      }
    }
    const near = [...steps].sort((a, b) => a.share - b.share);
    const nearest = [...new Set(near.map((step) => step.limit))].map((name) => near.find((step) => step.limit === name));
    const [best] = [...steps].sort((a, b) => (quick ? 0 : (b.gain ?? 0) - (a.gain ?? 0)) || a.p50_ms - b.p50_ms);
    return best && !nearest.includes(best) ? [...nearest, { ...best, largest: true }] : nearest;
  }

  function reachesPast(candidate, name, allowed, about) {
    const span = candidate.intervals[name];
    return span !== undefined && (about[name].at_least ? span[0] < allowed : span[1] > allowed);
  }

  const asAccurate = (c, reference) => c.accuracy !== null && (c.accuracy >= reference.accuracy || sameAccuracy(c, reference));

  // Those that can be named for `like`: measured with the smallest batch size, and of known accuracy.
  function named(models) {
    const batch = Math.min(...models.candidates.map((c) => c.batch_size));
    return models.candidates.filter((c) => c.batch_size === batch && c.accuracy !== null).map((c) => c.case);
  }

  // `models`: what the page was given: candidates, their draws, quality, trust, limits (what is known of each) and units.
  // `like`: the name of a model of known accuracy, or null.
  function pick(models, limits, like = null) {
    const { limits: about } = models, everything = underLoad(models.candidates, limits), names = Object.keys(limits);
    const batch = everything.length ? Math.min(...everything.map((c) => c.batch_size)) : null;
    const draws = models.draws.filter((_, i) => everything[i].batch_size === batch);
    let measured = everything.filter((c) => c.batch_size === batch);
    let choice = {
      quality: models.quality, limits, batch_size: batch, left_out: everything.filter((c) => c.batch_size !== batch).map((c) => c.case),
      trust: models.trust, winner: null, wins: [], resamples: 0, like: null, why_not: null, runner_up: null, ties: [], on_the_edge: [],
      binding: [], front: [], unknown: [], misses: [],
      unmeasured: names.filter((name) => measured.length && measured.every((c) => c.limited[name] === null)),
    };
    if (!measured.length) return choice;
    const resamples = draws[0].times.length, reference = measured.findIndex((c) => c.case === like);
    if (!names.length && reference < 0) {
      return { ...choice, front: frontOf(measured, draws), unknown: measured.filter((c) => c.accuracy === null).map((c) => c.case), resamples };
    }
    const quick = reference >= 0 || names.every((name) => about[name].accuracy);
    const counts = winsOf(measured, draws, limits, about, quick, reference >= 0 ? reference : null);
    const wins = measured.map((c, i) => ({ case: c.case, resamples: counts[i] })).filter((win) => win.resamples)
      .sort((a, b) => b.resamples - a.resamples);
    choice = { ...choice, wins, resamples };
    const likened = measured[reference];
    if (likened) measured = measured.filter((c) => asAccurate(c, likened));
    const [winner, ...others] = ranked(measured.filter((c) => !Object.keys(broken(c, limits, about)).length), quick);
    if (!winner) {
      const distance = (c) => {
        const shares = Object.values(broken(c, limits, about));
        return [shares.includes(null) ? 1 : 0, Math.max(0, ...shares.filter((share) => share !== null))];
      };
      const nearest = measured.map((c) => [distance(c), c]).sort(([a], [b]) => a[0] - b[0] || a[1] - b[1]).slice(0, MISSES);
      return { ...choice, misses: nearest.map(([, c]) => {
        const missed = broken(c, limits, about);
        return { case: c.case, broken: missed, values: Object.fromEntries(Object.keys(missed).map((name) => [name, c.limited[name]])) };
      }) };
    }
    return {
      ...choice, winner,
      like: likened ? { case: likened.case, gain: worth(winner) - worth(likened), times: likened.p50_ms / winner.p50_ms, same: sameAccuracy(winner, likened),
        gain_interval: gained(winner, likened) } : null,
      why_not: whyNot(winner, others), runner_up: others[0] ?? null,
      ties: others.filter((other) => sameAccuracy(winner, other) && sameLatency(winner, other)).map((other) => other.case),
      on_the_edge: names.filter((name) => reachesPast(winner, name, limits[name], about)),
      binding: bindingOf(measured, limits, about, winner, quick),
    };
  }

  function inWords(models, choice) {
    const { limits: about, units } = models, label = about[choice.quality].label;
    const shown = (unit, value, interval) => quantity(units, unit, value, interval);
    const points = (value, interval) => `${value >= 0 ? "+" : ""}${quantity(units, "points", value, interval)}`;
    const described = (c) => `${c.case}: ${c.accuracy === null ? "accuracy unknown" : `${label} ${shown("percent", c.accuracy)}`}, `
      + `p50 ${shown("ms", c.p50_ms, [c.p50_ms_low, c.p50_ms_high])}`;
    const figures = (c) => {
      const known = Object.entries(about).filter(([name, one]) => !one.accuracy && name !== "p50" && c.limited[name] !== null)
        .map(([name, one]) => `${one.label} ${shown(one.unit, c.limited[name], c.intervals[name])}`);
      return `${known.join(", ") || "nothing else is known"}; accuracy ${c.accuracy_source ?? "unknown"}`;
    };
    const step = ({ model, cost_ms, gain, same, gain_interval }) => cost_ms === null ? described(model)
      : `+${shown("ms", cost_ms)}, ${points(gain, gain_interval)}${same ? " (within the noise)" : ""}: ${described(model)}`;
    const heldBack = (s) => {
      const { label: of, unit } = about[s.limit], difference = s.needed - s.allowed;
      const relaxed = unit === "percent" ? points(difference) : `${difference > 0 ? "+" : "-"}${shown(unit, Math.abs(difference))}`;
      const gain = s.gain === null ? "" : `, ${points(s.gain, s.gain_interval)} of ${label}`;
      return `${s.largest ? "largest gain" : "held back by"}: ${of} of ${shown(unit, s.allowed)}: ${relaxed}: ${s.case}${gain}, p50 ${shown("ms", s.p50_ms)}`;
    };
    const missed = (miss) => ([name, share]) => {
      const one = about[name], value = miss.values[name], allowed = choice.limits[name], side = one.at_least ? "under" : "over";
      if (share === null) return `${one.label} unknown`;
      const text = `${one.label} ${shown(one.unit, value)}`;
      if (one.unit === "percent") return `${text}, ${Math.abs(value - allowed).toFixed(1)} points ${side} the limit`;
      if (one.at_least || value / allowed < NEAR) return `${text}, ${significant(100 * share, 2)} % ${side} the limit`;
      return `${text}, ${significant(value / allowed, 2)} times the limit`;
    };

    const share = (count) => {
      const percents = Math.floor((200 * count + choice.resamples) / (2 * choice.resamples));
      if (count > 0 && count < choice.resamples) return percents === 0 ? "under 1 %" : percents === 100 ? "over 99 %" : `${percents} %`;
      return `${percents} %`;
    };
    const odds = () => {
      const mine = choice.wins.find((win) => win.case === choice.winner.case)?.resamples ?? 0;
      const none = choice.resamples - choice.wins.reduce((sum, win) => sum + win.resamples, 0);
      const others = choice.wins.filter((win) => win.case !== choice.winner.case).slice(0, NAMED).map((win) => `${win.case} (${share(win.resamples)})`);
      if (none) others.push(`none (${share(none)})`);
      return `wins in ${share(mine)} of the resamples${others.length ? `, else ${others.join(", ")}` : ""}`;
    };
    const doubt = ({ model, resamples }) => (choice.trust !== "unsound" && resamples >= CERTAIN * choice.resamples) || model.accuracy === null ? ""
      : `, on the front in ${share(resamples)} of the resamples`;
    const likeness = ({ case: name, gain, times, same, gain_interval }) => name === choice.winner.case
      ? `no other model within the limits is as accurate as ${name} and faster`
      : `against ${name}: ${points(gain, gain_interval)} of ${label}${same ? ", the same within the noise" : ""}, and ${significant(times, 2)} times as fast`;

    function answer() {
      if (choice.front.length) {
        const known = choice.front[0].model.accuracy !== null;
        return [
          known ? `without limits: no other model beats one of these in both ${label} and p50; the fastest first:` : "no accuracy is known; the fastest:",
          ...choice.front.map((one) => step(one) + doubt(one)), ...(choice.unknown.length && known ? [`accuracy not known: ${choice.unknown.join(", ")}`] : []),
          "a limit chooses one of them",
        ];
      }
      if (choice.unmeasured.length) {
        return choice.unmeasured.map((name) => `${about[name].label} is not known of any model of this run, so that none can be said to meet a limit on it${about[name].how}`);
      }
      if (!choice.winner) {
        if (!choice.misses.length) return ["no model was measured"];
        const chances = choice.wins.slice(0, NAMED).map((win) => `${win.case} (${share(win.resamples)})`).join(", ");
        return ["no model meets these limits; the nearest misses:",
          ...choice.misses.map((miss) => `${miss.case}: ${Object.entries(miss.broken).map(missed(miss)).join("; ")}`),
          ...(chances ? [`in some of the resamples a model meets them: ${chances}`] : [])];
      }
      const lines = choice.trust === "unsound"
        ? [`no sure answer, as this run is unsound; going by its visits, ${choice.winner.case} ${odds()}`, described(choice.winner)]
        : [`ship ${described(choice.winner)}`, `it ${odds()}`];
      const other = choice.why_not;
      lines.push(figures(choice.winner));
      if (choice.like) lines.push(likeness(choice.like));
      if (choice.ties.length) lines.push(`a tie within the noise of this run with ${choice.ties.join(", ")}: choose by size or taste`);
      for (const name of choice.on_the_edge) lines.push(`on the edge: the interval of its ${about[name].label} reaches past the limit`);
      if (other) {
        lines.push(`why not ${other.case}: ${points(other.gain, other.gain_interval)} of ${label}, ${other.same ? "the same within the noise" : "but these limits ask for no more"}, `
          + `and it takes ${significant(other.times, 2)} times as long`);
      }
      if (choice.runner_up) lines.push(`runner-up: ${described(choice.runner_up)}`);
      lines.push(...choice.binding.map(heldBack));
      if (Object.keys(choice.limits).length && !choice.binding.length) lines.push("no single limit keeps a better model out");
      return lines;
    }
    const left = choice.left_out.length;
    return [...answer(), ...(left ? [`batch size ${choice.batch_size} only: ${left} ${left === 1 ? "model" : "models"} left out`] : [])];
  }
  // Whether a candidate could be chosen: it meets the limits and is as accurate as `like`.
  function meets(models, candidate, limits, like) {
    [candidate] = underLoad([candidate], limits);
    const reference = models.candidates.find((c) => c.case === like), least = Math.min(...models.candidates.map((c) => c.batch_size));
    return candidate.batch_size === least && !Object.keys(broken(candidate, limits, models.limits)).length && (!reference || asAccurate(candidate, reference));
  }

  // Why a limit cannot be meant; null: it can (`_check` of choice.py).
  function objection(models, name, value) {
    const { unit, label } = models.limits[name];
    if (unit === "percent" && value <= 1) return `${label} ${value} means ${value} %; did you mean ${Number((100 * value).toPrecision(12))}?`;
    if (unit === "percent" && value > 100) return `${label} ${value} is more than 100 %; no model can reach that`;
    return null;
  }
  return { pick, inWords, named, meets, objection, quantity, typed, parsed, significant };
})();
