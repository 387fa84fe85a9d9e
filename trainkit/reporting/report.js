"use strict";
const charts = stored("charts") || [];
keepDrawn(() => charts.forEach((spec) => drawChart(document.getElementById(spec.id), spec)));

document.querySelectorAll("pre.command").forEach((block) => {
  const button = html("button", "copy no-print", block.parentNode, "Copy");
  button.addEventListener("click", () => {
    navigator.clipboard.writeText(block.textContent).then(() => { button.textContent = "Copied"; });
  });
});

addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((part) => { part.open = true; }));
