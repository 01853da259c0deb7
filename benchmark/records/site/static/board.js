// The leaderboard page: rows from data/rows.js, filters kept in the address, columns switched by group.
"use strict";

const FORMATS = {
  accuracy: 3, accuracy_full: 3, score: 3, score_full: 3, accuracy_diff: 3, gmacs_mean: 4, gmacs_full: 4,
  mac_speedup: 2, mean_exit_depth: 2, threshold: 4, latency_ms_p50: 2, latency_ms_p99: 2, full_ms_p50: 2, speedup: 2,
  realized: 2, canary: 3, samples_per_s: 0, queries_mean: 1, changed_mean: 2,
};
const PERCENT = new Set(["gain_lost", "gain_lost_macs", "share_full_depth"]);

function spell(name, value) {
  if (value === null || value === undefined) return "–";
  if (PERCENT.has(name)) return `${(100 * value).toFixed(0)}%`;
  return name in FORMATS ? Number(value).toFixed(FORMATS[name]) : String(value);
}

// A value with its uncertainty: ± 1.96 standard errors, or the interval in brackets.
function uncertain(name, row) {
  const columns = BOARD.uncertain[name];
  if (!columns || row[name] === null || columns.some((column) => row[column] === null || row[column] === undefined)) return "";
  if (columns.length === 1) return ` ± ${spell(name, 1.96 * row[columns[0]])}`;
  return ` [${spell(name, row[columns[0]])}, ${spell(name, row[columns[1]])}]`;
}

function escaped(text) {
  const holder = document.createElement("span");
  holder.textContent = text;
  return holder.innerHTML;
}

function cell(name, row) {
  const text = escaped(spell(name, row[name]));
  if (name === "model") {
    const tag = row.static ? ' <span class="tag">static</span>' : "";
    return `<a href="record.html?id=${row.record_id}">${text}</a>${tag}`;
  }
  if (name === "twin_id" && row.twin_id) return `<a href="record.html?id=${row.twin_id}">${text}</a>`;
  if (name === "status" && row.status !== "ok") return `<span title="${escaped(row.reasons)}">${text}</span>`;
  const more = uncertain(name, row);
  return more ? `${text}<span class="uncertain">${escaped(more)}</span>` : text;
}

function state() {
  return new URLSearchParams(location.hash.slice(1));
}

function keep(name, value) {
  const now = state();
  if (value === "" || value === null) now.delete(name); else now.set(name, value);
  history.replaceState(null, "", `#${now.toString()}`);
}

function columnsOf(groups) {
  return Object.entries(BOARD.groups).filter(([group]) => group === "what" || groups.includes(group)).flatMap(([, names]) => names);
}

function chosenGroups() {
  const named = state().get("columns");
  return (named ?? "").split(" ").filter((name) => name in BOARD.groups);
}

function matches(row) {
  const now = state();
  if (now.get("doubtful") === "hide" && row.status !== "ok") return false;
  return Object.keys(BOARD.values).every((facet) => !now.get(facet) || String(row[facet]) === now.get(facet));
}

// DataTables reads its theme from this class.
const dark = matchMedia("(prefers-color-scheme: dark)");
const setTheme = () => document.documentElement.classList.toggle("dark", dark.matches);
dark.addEventListener("change", setTheme);
setTheme();

let table = null;

function draw() {
  const shown = new Set(columnsOf(chosenGroups()));
  const all = columnsOf(Object.keys(BOARD.groups));
  if (table === null) {
    table = new DataTable("#board", {
      data: ROWS,
      columns: all.map((name) => ({
        name,
        title: `<abbr title="${escaped(BOARD.meanings[name] ?? "")}">${escaped(BOARD.titles[name] ?? name)}</abbr>`,
        className: BOARD.numbers.includes(name) ? "number" : "",
        data: (row, type) => (type === "display" ? cell(name, row) : row[name] ?? (BOARD.numbers.includes(name) ? -Infinity : "")),
        type: BOARD.numbers.includes(name) ? "num" : "string",
      })),
      order: [],
      pageLength: 50,
      lengthMenu: [25, 50, 100, 500, { label: "all", value: -1 }],
      autoWidth: false,
      deferRender: true,
      createdRow: (element, row) => {
        element.classList.toggle("doubtful", row.status !== "ok");
        element.classList.toggle("static", Boolean(row.static));
      },
      language: { search: "Search", info: "_START_ to _END_ of _TOTAL_ records", infoFiltered: "(of _MAX_)", emptyTable: "No records" },
    });
    table.search.fixed("facets", (text, row) => matches(row));
    if (state().get("q")) table.search(state().get("q"));
    table.on("search.dt", () => keep("q", table.search()));
  }
  all.forEach((name) => table.column(`${name}:name`).visible(shown.has(name), false));
  table.columns.adjust().draw();
  document.getElementById("count").textContent = `${table.rows({ search: "applied" }).count()} of ${ROWS.length} records`;
}

function fillForm() {
  const form = document.querySelector("form.filters");
  for (const [facet, values] of Object.entries(BOARD.values)) {
    const select = form.elements[facet];
    for (const value of values) select.append(new Option(value, value));
    select.value = state().get(facet) ?? "";
    select.addEventListener("change", () => { keep(facet, select.value); draw(); });
  }
  const hide = form.elements.doubtful;
  hide.checked = state().get("doubtful") === "hide";
  hide.addEventListener("change", () => { keep("doubtful", hide.checked ? "hide" : ""); draw(); });
  form.addEventListener("reset", () => setTimeout(() => { history.replaceState(null, "", "#"); table.search(""); draw(); }, 0));
  for (const box of document.querySelectorAll("fieldset.groups input")) {
    box.checked = chosenGroups().includes(box.value);
    box.addEventListener("change", () => {
      const boxes = [...document.querySelectorAll("fieldset.groups input:checked")];
      keep("columns", boxes.map((one) => one.value).join(" "));
      draw();
    });
  }
}

fillForm();
draw();
