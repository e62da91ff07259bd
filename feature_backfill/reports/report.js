/* What Plotly cannot be told in a figure: touch screens, narrow ones, and paper. */
const charts = () => [...document.querySelectorAll(".js-plotly-plot")];
const PAPER_PX = 680;

// A finger that moves over a chart scrolls the page; a tap shows the values.
if (matchMedia("(pointer: coarse)").matches) {
  for (const chart of charts()) Plotly.relayout(chart, { dragmode: false });
}
if (matchMedia("(max-width: 700px)").matches && document.getElementById("correlations")) {
  Plotly.relayout("correlations", { "yaxis.tickfont.size": 8, "xaxis.tickfont.size": 9 });
}

const folded = new Set();
addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details:not([open])")) {
    folded.add(details);
    details.open = true;
  }
  for (const chart of charts()) Plotly.relayout(chart, { width: PAPER_PX });
});
addEventListener("afterprint", () => {
  for (const details of folded) details.open = false;
  folded.clear();
  for (const chart of charts()) Plotly.relayout(chart, { width: null, autosize: true });
});
