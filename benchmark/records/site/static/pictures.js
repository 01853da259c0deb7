// The pictures page: one machine at a time for the clock, one data set at a time for scores.
"use strict";

const link = (row) => ({ ...row, href: `record.html?id=${row.record_id}` });
const choice = (name) => document.getElementById(name).value;

function fill(name, values) {
  const select = document.getElementById(name);
  values.forEach((value) => select.append(new Option(value, value)));
  const named = new URLSearchParams(location.hash.slice(1)).get(name);
  if (named && values.includes(named)) select.value = named;
  select.addEventListener("change", () => {
    const now = new URLSearchParams(location.hash.slice(1));
    now.set(name, select.value);
    history.replaceState(null, "", `#${now}`);
    drawAll();
  });
}

// Of each model the rule, profile and sample count that most of its attacked records have, else most of all its records.
function usual(rows) {
  const of = (row) => JSON.stringify([row.policy, row.hardware, row.n]);
  const attacked = rows.filter((row) => row.workload === "same");
  const count = new Map();
  for (const row of attacked.length ? attacked : rows) count.set(of(row), (count.get(of(row)) ?? 0) + 1);
  const [most] = [...count].sort((left, right) => right[1] - left[1])[0];
  return rows.filter((row) => of(row) === most);
}

function promises(rows) {
  const timed = rows.filter((row) => row.speedup !== null && row.scenario === "single_stream" && !row.static
    && !["never", "always_first"].includes(row.policy));
  const models = [...new Set(timed.map((row) => row.model))].sort();
  return models.flatMap((model) => {
    const own = usual(timed.filter((row) => row.model === model));
    const clean = own.find((row) => row.workload === "clean");
    const attacked = own.find((row) => row.workload === "same");
    if (!clean) return [];
    const label = `${model}, ${clean.policy}, ${clean.hardware}`;
    const mark = (row, kind, speedup, low, high) => ({
      label, kind, speedup, low, high, href: `record.html?id=${row.record_id}`,
      interval: low === speedup ? "" : `[${low.toFixed(2)}, ${high.toFixed(2)}]`,
    });
    return [
      mark(clean, "promised in MACs", clean.mac_speedup, clean.mac_speedup, clean.mac_speedup),
      mark(clean, "on the clock", clean.speedup, clean.speedup_lo, clean.speedup_hi),
      ...(attacked ? [mark(attacked, "under SAME", attacked.speedup, attacked.speedup_lo, attacked.speedup_hi)] : []),
    ];
  });
}

function drawAll() {
  const onData = ROWS.filter((row) => row.dataset === choice("dataset"));
  const here = ROWS.filter((row) => row.machine === choice("machine"));
  drawChart("score_cost", "score_cost", onData.filter((row) => row.gmacs_mean !== null && row.score !== null).map(link));
  drawChart("score_time", "score_time", here.filter((row) => row.dataset === choice("dataset") && row.latency_ms_p50 !== null).map(link));
  drawChart("promise", "promise", promises(here));
  const known = new Map(ROWS.map((row) => [row.record_id, row]));
  const lines = QUERIES.filter((point) => known.get(point.record_id)?.dataset === choice("dataset"));
  drawChart("queries", "queries", lines.map((point) => ({ ...known.get(point.record_id), ...point })));
}

fill("dataset", BOARD.values.dataset);
fill("machine", BOARD.values.machine);
drawAll();
