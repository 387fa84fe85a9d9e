"use strict";
/* Draws curves or points as SVG. Colours come from the style sheet, so that dark mode and print work. */

const COLOURS = 8;

function svg(name, attributes, parent, text) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  if (parent) parent.appendChild(node);
  return node;
}

function html(name, className, parent, text) {
  const node = document.createElement(name);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  if (parent) parent.appendChild(node);
  return node;
}

function format(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (typeof value !== "number") return String(value);
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 1e7) return value.toLocaleString("en");
  if (size >= 1e9 || (size < 1e-3 && size > 0)) return value.toExponential(2);
  if (size >= 1e4) return Math.round(value).toLocaleString("en");
  return value.toLocaleString("en", { maximumSignificantDigits: 4 });
}

/* The ticks of an axis, all in one notation: 8e-4, 1e-3. */
function formatTicks(ticks) {
  const small = ticks.some((tick) => tick && (Math.abs(tick) < 1e-3 || Math.abs(tick) >= 1e7));
  return ticks.map((tick) => (small && tick ? Number(tick.toPrecision(4)).toExponential() : format(tick)));
}

function linearTicks(low, high, count) {
  const raw = (high - low) / count;
  const power = Math.pow(10, Math.floor(Math.log10(raw)));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw * 0.999);
  const ticks = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) {
    ticks.push(Number((i * step).toPrecision(12)));
  }
  return ticks;
}

function logTicks(low, high) {
  const few = Math.log10(high / low) < 2 ? [1, 2, 5] : [1];
  const ticks = [];
  for (let e = Math.floor(Math.log10(low)); e <= Math.ceil(Math.log10(high)); e++) {
    for (const m of few) if (m * 10 ** e >= low * 0.999 && m * 10 ** e <= high * 1.001) ticks.push(m * 10 ** e);
  }
  const every = Math.ceil(ticks.length / 6);
  return ticks.filter((_, i) => i % every === 0);
}

/* An axis from the values on it: maps a value to a place, and knows its ticks. */
function makeAxis(values, from, to, { log, whole, ticks }) {
  let low = Math.min(...values);
  let high = Math.max(...values);
  const isLog = log && low > 0 && high > 50 * low;
  if (low === high) {
    const pad = Math.abs(low) * 0.1 || 1;
    if (whole) { low -= 0.5; high += 0.5; } else { low -= pad; high += pad; }
  } else if (!whole && !isLog) {
    const pad = (high - low) * 0.05;
    low -= pad; high += pad;
  }
  const scale = isLog ? Math.log : (v) => v;
  const place = (v) => from + ((scale(v) - scale(low)) / (scale(high) - scale(low))) * (to - from);
  let marks = isLog ? logTicks(low, high) : linearTicks(low, high, ticks);
  if (whole) marks = marks.filter(Number.isInteger);
  return { place, ticks: marks, isLog };
}

/* spec: {x, y, series: [{name, x, y, dash, colour}], points, log, wholeX, mark: {x, text}, height} */
function drawChart(box, spec) {
  box.textContent = "";
  const series = spec.series.filter((s) => s.x.length);
  if (!series.length) { html("p", "quiet", box, "Nothing to draw yet."); return; }
  const width = Math.max(240, box.clientWidth || 480);
  const height = spec.height || 230;
  const area = { left: 58, right: width - 12, top: spec.mark ? 22 : 12, bottom: height - 38 };
  const xs = spec.xNames ? [-0.5, spec.xNames.length - 0.5] : series.flatMap((s) => s.x);
  const ys = series.flatMap((s) => s.y);
  const xAxis = makeAxis(xs, area.left, area.right, { whole: spec.wholeX, log: spec.points, ticks: width / 90 });
  const yAxis = makeAxis(ys, area.bottom, area.top, { log: spec.log !== false, ticks: 5 });
  const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, class: "chart", role: "img" }, box);
  svg("title", {}, picture, `${spec.y} over ${spec.x}`);
  drawAxes(picture, spec, area, xAxis, yAxis);
  if (spec.mark) drawMark(picture, spec.mark, area, xAxis);
  series.forEach((one, i) => drawSeries(picture, one, i, spec, xAxis, yAxis));
  drawLegend(box, spec.legend === false ? [] : series, yAxis.isLog);
  if (!spec.points) followPointer(box, picture, series, area, xAxis, width);
}

function drawAxes(picture, spec, area, xAxis, yAxis) {
  const labels = formatTicks(yAxis.ticks);
  for (const [i, tick] of yAxis.ticks.entries()) {
    const y = yAxis.place(tick);
    svg("line", { x1: area.left, x2: area.right, y1: y, y2: y, class: "grid" }, picture);
    svg("text", { x: area.left - 6, y: y + 4, class: "tick", "text-anchor": "end" }, picture, labels[i]);
  }
  for (const tick of xAxis.ticks) {
    const x = xAxis.place(tick);
    svg("text", { x, y: area.bottom + 16, class: "tick", "text-anchor": "middle" }, picture, spec.xNames ? spec.xNames[tick] || "" : format(tick));
  }
  svg("line", { x1: area.left, x2: area.right, y1: area.bottom, y2: area.bottom, class: "axis" }, picture);
  const middle = (area.left + area.right) / 2;
  svg("text", { x: middle, y: area.bottom + 32, class: "label", "text-anchor": "middle" }, picture, spec.x);
}

function drawMark(picture, mark, area, xAxis) {
  const x = xAxis.place(mark.x);
  const isRight = x > (area.left + area.right) / 2;
  svg("line", { x1: x, x2: x, y1: area.top - 8, y2: area.bottom, class: "mark" }, picture);
  const anchor = isRight ? "end" : "start";
  svg("text", { x: x + (isRight ? -5 : 5), y: area.top - 6, class: "marked", "text-anchor": anchor }, picture, mark.text);
}

function colourOf(series, index) {
  return `c${(series.colour === undefined ? index : series.colour) % COLOURS}`;
}

function drawSeries(picture, series, index, spec, xAxis, yAxis) {
  const places = series.x.map((x, i) => [xAxis.place(x), yAxis.place(series.y[i])]);
  const colour = colourOf(series, index);
  const points = spec.points || series.points;
  if (!points) {
    const path = places.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
    svg("path", { d: path, class: `line ${colour}${series.dash ? " dash" : ""}` }, picture);
  }
  if (points || places.length <= 30) {
    places.forEach(([x, y], i) => {
      const dot = svg("circle", { cx: x, cy: y, r: points ? 5 : 2.2, class: `dot ${colour}` }, picture);
      const name = series.names ? series.names[i] : series.name;
      if (points) svg("title", {}, dot, `${name}: ${format(series.x[i])}, ${format(series.y[i])}`);
    });
  }
}

function drawLegend(box, series, isLog) {
  const legend = html("div", "legend", box);
  series.slice(0, 24).forEach((one, i) => {
    const entry = html("span", "entry", legend);
    html("i", `swatch ${colourOf(one, i)}${one.dash ? " dash" : ""}`, entry);
    html("span", "", entry, one.name);
  });
  if (series.length > 24) html("span", "quiet", legend, `and ${series.length - 24} more`);
  if (isLog) html("span", "quiet", legend, "logarithmic");
}

/* The values under the pointer, in a line below the chart. */
function followPointer(box, picture, series, area, xAxis, width) {
  const readout = html("div", "readout", box);
  const line = svg("line", { y1: area.top, y2: area.bottom, class: "pointer", visibility: "hidden" }, picture);
  const places = [...new Set(series.flatMap((s) => s.x))];
  picture.addEventListener("pointermove", (event) => {
    const bounds = picture.getBoundingClientRect();
    const at = ((event.clientX - bounds.left) / bounds.width) * width;
    const gap = (x) => Math.abs(xAxis.place(x) - at);
    const nearest = places.reduce((a, b) => (gap(b) < gap(a) ? b : a));
    line.setAttribute("x1", xAxis.place(nearest));
    line.setAttribute("x2", xAxis.place(nearest));
    line.setAttribute("visibility", "visible");
    const values = series
      .filter((s) => s.x.includes(nearest))
      .slice(0, 8)
      .map((s) => `${s.name} ${format(s.y[s.x.indexOf(nearest)])}`);
    readout.textContent = `${format(nearest)}: ${values.join(", ")}`;
  });
  picture.addEventListener("pointerleave", () => {
    line.setAttribute("visibility", "hidden");
    readout.textContent = "";
  });
}

function stored(id) {
  const node = document.getElementById(id);
  return node ? JSON.parse(node.textContent) : null;
}

/* Draws again when the width changes, so that texts keep their size. */
function keepDrawn(draw) {
  let before = 0;
  const again = () => {
    if (window.innerWidth !== before) { before = window.innerWidth; draw(); }
  };
  window.addEventListener("resize", again);
  again();
}
