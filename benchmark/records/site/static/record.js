// The page of one record: ?id=… names it. Its document is in one of data/records/*.js, as deflated JSON with others.
"use strict";

const recordId = new URLSearchParams(location.search).get("id") ?? "";
const byId = (name) => document.getElementById(name);

function load(id) {
  return new Promise((done, failed) => {
    const row = ROWS.find((each) => each.record_id === id);
    if (!row) { failed(new Error("no such record")); return; }
    const script = document.createElement("script");
    script.src = `data/records/${row.pack}.js`;
    script.onload = () => unpack(PACKED[row.pack]).then((documents) => done(documents[id]), failed);
    script.onerror = () => failed(new Error("no such record"));
    document.head.append(script);
  });
}

async function unpack(packed) {
  const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return JSON.parse(await new Response(stream).text());
}

function tableOf(element, pairs) {
  for (const [name, value] of pairs) {
    const row = element.insertRow();
    const head = document.createElement("th");
    head.scope = "row";
    head.textContent = name;
    row.append(head);
    row.insertCell().textContent = value;
  }
}

function plain(value) {
  return value !== null && typeof value === "object" ? JSON.stringify(value) : String(value);
}

function shares(record, workload) {
  const total = record.histogram.reduce((sum, count) => sum + count, 0) || 1;
  return record.histogram.map((count, i) => ({ exit_depth: i + 1, share: count / total, workload }));
}

function curveOf(record) {
  const points = record.curve.map((point) => ({ kind: "curve", gmacs: point.gmacs_mean, accuracy: point.accuracy }));
  const exits = record.exits.map((exit) => ({ kind: "each exit alone", gmacs: exit.gmacs, accuracy: exit.accuracy }));
  const figures = Object.fromEntries(record.figures);
  const point = { kind: "operating point", gmacs: Number(figures.gmacs_mean), accuracy: parseFloat(figures.accuracy) };
  return [...points, ...exits, ...(Number.isFinite(point.gmacs) ? [point] : [])];
}

// The attacked text with each changed word: the old one struck out, the new one marked.
function edited(text, changes) {
  const line = document.createElement("p");
  let at = 0;
  for (const { start, end, old } of changes) {
    line.append(text.slice(at, start));
    const gone = document.createElement("del");
    gone.textContent = old;
    const mark = document.createElement("mark");
    mark.textContent = text.slice(start, end);
    line.append(gone, " ", mark);
    at = end;
  }
  line.append(text.slice(at));
  return line;
}

function example(shown) {
  const box = document.createElement("div");
  box.className = "example";
  const head = document.createElement("p");
  head.textContent = `sample ${shown.index}: exit ${shown.exit_before} → ${shown.exit_after}, answer ${shown.answer_before} → ${shown.answer_after}, label ${shown.label}`;
  box.append(head);
  if (shown.png_before) {
    for (const [when, png] of [["before", shown.png_before], ["after", shown.png_after]]) {
      const picture = new Image();
      picture.src = `data:image/png;base64,${png}`;
      picture.alt = `sample ${shown.index} ${when} the attack`;
      box.append(picture);
    }
    return box;
  }
  (shown.texts_after ?? []).forEach((text, i) => {
    box.append(edited(text, (shown.changed ?? []).filter((change) => change.text === i)));
  });
  return box;
}

async function show(record) {
  const { model, dataset, workload, policy, hardware, scenario } = record.choices;
  byId("title").textContent = `${model} on ${dataset}, ${workload}`;
  document.title = `${model} on ${dataset} – exitbench`;
  byId("lead").textContent = `${policy}, ${hardware}, ${scenario}; ${record.status}${record.reasons.length ? ": " + record.reasons.join("; ") : ""}; ${record.created}`;
  byId("command").textContent = record.command;
  tableOf(byId("figures"), record.figures);
  tableOf(byId("machine"), Object.entries(record.machine).map(([name, value]) => [name, plain(value)]));
  tableOf(byId("provenance"), Object.entries(record.provenance).map(([name, value]) => [name, plain(value)]));
  byId("config").textContent = JSON.stringify(record.config, null, 2);
  const row = ROWS.find((each) => each.record_id === record.record_id);
  let bars = shares(record, workload);
  if (row?.twin_id && ROWS.some((each) => each.record_id === row.twin_id)) {
    bars = [...shares(await load(row.twin_id), "clean"), ...bars];
  }
  drawChart("histogram", "histogram", bars.filter((bar) => Number.isFinite(bar.share)));
  drawChart("curve", "curve", record.curve.length || record.exits.length ? curveOf(record) : []);
  drawChart("reliability", "reliability", record.exits.flatMap((exit) => exit.reliability.confidence.map((confidence, i) => ({
    exit_depth: exit.exit_depth, confidence, accuracy: exit.reliability.accuracy[i], count: exit.reliability.count[i],
  }))));
  const names = { full: "full depth", early: "early exit", canary: "canary" };
  drawChart("timings", "timings", record.timings.flatMap((round) => Object.entries(names).map(([key, what]) => ({
    what, milliseconds: round[key], round: round.round, process: round.process,
  }))));
  if (record.examples.length === 0) byId("attack").hidden = true;
  record.examples.forEach((shown) => byId("examples").append(example(shown)));
}

load(recordId).then(show).catch(() => {
  byId("title").textContent = "No such record";
  byId("lead").textContent = `The board holds no record ${recordId || "without an id"}; open one from the leaderboard.`;
});
