// Draws a specification of data/charts.js into an element, with rows put in and colours for the reader's theme.
"use strict";

function drawChart(element, name, rows) {
  const target = typeof element === "string" ? document.getElementById(element) : element;
  if (rows.length === 0) {
    target.textContent = "No record here has these figures.";
    return Promise.resolve(null);
  }
  const specification = { ...CHARTS[name], datasets: { ...(CHARTS[name].datasets ?? {}), rows } };
  return vegaEmbed(target, specification, { actions: false, renderer: "svg", logLevel: 1 });
}
