"use strict";
/* Parallel coordinates: an axis for each setting and one for the value, a line for each trial. */
function drawParallel(box, search) {
  box.textContent = "";
  const width = Math.max(240, box.clientWidth || 480);
  const height = 320;
  const [top, bottom] = [34, height - 20];
  const step = (width - 64) / Math.max(1, search.axes.length - 1);
  const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, class: "chart", role: "img" }, box);
  svg("title", {}, picture, "Settings and value of each trial");
  const axes = search.axes.map((axis, i) => {
    const values = search.lines.map((line) => line.at[i]);
    const low = Math.min(...values);
    const high = Math.max(...values);
    const isLog = !axis.names.length && low > 0 && high > 20 * low;
    const scale = isLog ? Math.log : (v) => v;
    const place = (v) => (low === high ? (top + bottom) / 2
      : bottom - ((scale(v) - scale(low)) / (scale(high) - scale(low))) * (bottom - top));
    return { ...axis, place, low, high, x: 8 + i * step };
  });
  search.lines.forEach((line, i) => {
    const path = axes.map((a, j) => `${j ? "L" : "M"}${a.x.toFixed(1)} ${a.place(line.at[j]).toFixed(1)}`).join("");
    const best = i === search.lines.length - 1;
    const share = (i + 1) / search.lines.length;
    const node = svg("path", { d: path, class: `line ${best ? "c1" : "c0"}` }, picture);
    node.style.opacity = best ? 1 : 0.1 + 0.5 * share * share;
    svg("title", {}, node, line.name);
  });
  axes.forEach((axis, i) => {
    svg("line", { x1: axis.x, x2: axis.x, y1: top, y2: bottom, class: "axis" }, picture);
    const anchor = i === 0 ? "start" : i === axes.length - 1 ? "end" : "middle";
    const at = i === 0 ? 4 : i === axes.length - 1 ? width - 4 : axis.x;
    const short = axis.name.length * 7 > step ? axis.name.split(".").pop() : axis.name;
    svg("text", { x: at, y: i % 2 ? 24 : 11, class: "label", "text-anchor": anchor }, picture, short);
    const ticks = axis.names.length ? axis.names.map((name, j) => [j, name])
      : [axis.low, axis.high].map((v) => [v, format(v)]);
    ticks.filter(([v]) => v >= axis.low && v <= axis.high).forEach(([value, name]) => {
      svg("text", { x: axis.x + 5, y: axis.place(value) + 4, class: "tick" }, picture, name);
    });
  });
}

const charts = stored("charts") || [];
const search = stored("search");
keepDrawn(() => {
  charts.forEach((spec) => drawChart(document.getElementById(spec.id), spec));
  const box = document.getElementById("parallel");
  if (box && search.axes) drawParallel(box, search);
});
