"use strict";
const { columns, runs } = stored("comparison");
const state = { sort: null, down: false, filter: "", off: new Set() };

const isNumber = (i) => runs.some((run) => typeof run.values[i] === "number");
const name = (run) => run.values[columns.indexOf("run")] || run.folder;

function matching() {
  const words = state.filter.toLowerCase().split(/\s+/).filter(Boolean);
  const text = (run) => columns.map((c, i) => `${c}=${run.values[i] ?? ""}`).join(" ").toLowerCase();
  return runs.filter((run) => words.every((word) => text(run).includes(word)));
}

const shown = () => matching().filter((run) => !state.off.has(run));

function ordered(list) {
  if (state.sort === null) return list;
  const value = (run) => run.values[state.sort];
  const before = (a, b) => {
    if (value(a) === null || value(b) === null) return (value(a) === null) - (value(b) === null);
    const order = typeof value(a) === "number" && typeof value(b) === "number"
      ? value(a) - value(b) : String(value(a)).localeCompare(String(value(b)));
    return state.down ? -order : order;
  };
  return [...list].sort(before);
}

function select(parent, label, options, chosen, changed) {
  const box = html("label", "", parent, label + " ");
  const list = html("select", "", box);
  options.forEach((option) => {
    const entry = html("option", "", list, option);
    entry.value = option;
    entry.selected = option === chosen;
  });
  list.addEventListener("change", () => changed(list.value));
}

function drawTable() {
  const body = document.querySelector("#table tbody");
  body.textContent = "";
  ordered(matching()).forEach((run) => {
    const line = html("tr", state.off.has(run) ? "off" : "", body);
    const box = html("input", "", html("td", "", line));
    box.type = "checkbox";
    box.checked = !state.off.has(run);
    box.setAttribute("aria-label", `draw ${name(run)}`);
    box.addEventListener("change", () => {
      if (box.checked) state.off.delete(run); else state.off.add(run);
      drawAll();
    });
    run.values.forEach((value, i) => {
      const cell = html("td", isNumber(i) ? "number" : "", line, format(value));
      if (columns[i] === "status") cell.classList.add(String(value));
    });
    line.title = run.folder;
  });
  document.querySelector("#table .quiet").textContent = `${matching().length} of ${runs.length} runs`;
}

function makeTable() {
  const box = document.getElementById("table");
  const controls = html("div", "controls no-print", box);
  const filter = html("input", "", controls);
  filter.type = "search";
  filter.placeholder = "Filter: status=completed adam";
  filter.setAttribute("aria-label", "Filter");
  filter.addEventListener("input", () => { state.filter = filter.value; drawAll(); });
  html("span", "quiet", controls);
  const table = html("table", "", html("div", "scroll", box));
  const head = html("tr", "", html("thead", "", table));
  html("th", "", head);
  columns.forEach((column, i) => {
    const cell = html("th", `sortable${isNumber(i) ? " number" : ""}`, head, column);
    cell.tabIndex = 0;
    const sort = () => { state.down = state.sort === i && !state.down; state.sort = i; drawTable(); mark(); };
    const mark = () => head.querySelectorAll("th.sortable").forEach((other, j) => {
      other.textContent = columns[j] + (j === state.sort ? (state.down ? " ↓" : " ↑") : "");
    });
    cell.addEventListener("click", sort);
    cell.addEventListener("keydown", (event) => { if (event.key === "Enter") sort(); });
  });
  html("tbody", "", table);
}

const metrics = [...new Set(runs.flatMap((run) => Object.keys(run.curves)))].sort();
const numeric = columns.filter((_, i) => isNumber(i));
const most = (list) => list.sort((a, b) => list.filter((v) => v === b).length - list.filter((v) => v === a).length)[0];
const monitored = most(runs.map((run) => run.values[columns.indexOf("monitor")]).filter((m) => metrics.includes(m)));
let metric = monitored || metrics.find((m) => m === "val_loss") || metrics[0];
let across = numeric.includes("seconds") ? "seconds" : numeric[0];
let up = numeric.includes("best") ? "best" : numeric[1] || numeric[0];

function drawCurves() {
  const chosen = shown().filter((run) => run.curves[metric]);
  const series = chosen.map((run) => ({
    name: name(run), x: run.curves[metric][0], y: run.curves[metric][1],
    colour: runs.indexOf(run), dash: runs.indexOf(run) % 16 >= 8,
  }));
  drawChart(document.querySelector("#curves .box"), { x: "epoch", y: metric || "", wholeX: true, series, height: 320 });
}

function drawScatter() {
  const [i, j] = [columns.indexOf(across), columns.indexOf(up)];
  const chosen = shown().filter((run) => typeof run.values[i] === "number" && typeof run.values[j] === "number");
  const series = chosen.map((run) => ({
    name: name(run), x: [run.values[i]], y: [run.values[j]], colour: runs.indexOf(run),
  }));
  drawChart(document.querySelector("#scatter .box"), { x: across, y: up, points: true, series, height: 320 });
}

function drawAll() { drawTable(); drawCurves(); drawScatter(); }

makeTable();
const curveControls = html("div", "controls", document.getElementById("curves"));
if (metrics.length) select(curveControls, "Metric", metrics, metric, (value) => { metric = value; drawCurves(); });
html("div", "box", document.getElementById("curves"));
const scatterControls = html("div", "controls", document.getElementById("scatter"));
if (numeric.length) {
  select(scatterControls, "Across", numeric, across, (value) => { across = value; drawScatter(); });
  select(scatterControls, "Up", numeric, up, (value) => { up = value; drawScatter(); });
}
html("div", "box", document.getElementById("scatter"));
keepDrawn(drawAll);
