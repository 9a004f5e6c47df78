/* The candidates of a decision: what each is expected to cost and to be worth. */
import { axis, onTheme, place, quiet, style } from "./drawing.js";
import { dollars, shortDollars } from "./words.js";

const ROLES = { chosen: "Chosen", baseline: "Baseline", other: "Not chosen" };
const TONES = { chosen: "--tone-saved", baseline: "--tone-limit", other: "--body-quiet-color" };

/* Each point's interval and, where there is room, its name. */
const marks = {
  id: "marks",
  afterDatasetsDraw(chart) {
    const { ctx, chartArea, scales: { y } } = chart;
    const taken = [];
    ctx.save();
    ctx.font = `11px ${Chart.defaults.font.family}`;
    chart.data.datasets.forEach((dataset, n) => {
      ctx.strokeStyle = ctx.fillStyle = dataset.borderColor;
      chart.getDatasetMeta(n).data.forEach((point, at) => {
        const { name, low, high } = dataset.data[at];
        if (low !== null) {
          ctx.beginPath();
          ctx.moveTo(point.x, y.getPixelForValue(low));
          ctx.lineTo(point.x, y.getPixelForValue(high));
          ctx.stroke();
        }
        const width = ctx.measureText(name).width;
        const left = Math.min(point.x + 8, chartArea.right - width);
        const box = { left, right: left + width, top: point.y - 14, bottom: point.y };
        if (taken.some((other) => box.left < other.right && other.left < box.right && box.top < other.bottom && other.top < box.bottom)) return;
        taken.push(box);
        ctx.fillText(name, left, point.y - 4);
      });
    });
    ctx.restore();
  },
};

const drawOne = (figure) => {
  const plot = JSON.parse(figure.querySelector("script").textContent);
  const of = (role) => plot.points.filter((one) => one.role === role).map((one) => ({ ...one, x: Number(one.cost), y: one.worth }));
  const logarithmic = plot.points.every((one) => Number(one.cost) > 0);
  const x = axis();
  const y = axis();
  place(figure.querySelector("canvas"), {
    type: "scatter",
    data: {
      datasets: Object.keys(ROLES).map((role) => ({
        label: ROLES[role], data: of(role), borderColor: style(TONES[role]), backgroundColor: style(TONES[role]),
        pointRadius: role === "chosen" ? 7 : 4.5, pointHoverRadius: 8,
      })).filter((dataset) => dataset.data.length),
    },
    options: {
      ...quiet(),
      layout: { padding: { top: 14, right: 12 } },
      scales: {
        x: {
          ...x, type: logarithmic ? "logarithmic" : "linear", grace: "10%",
          title: { display: true, text: "expected cost of the call, USD", color: x.ticks.color },
          ticks: { ...x.ticks, maxTicksLimit: 6, callback: (value) => shortDollars(value) },
        },
        y: plot.tiers
          ? { ...y, min: -0.5, max: plot.tiers.length - 0.5, ticks: { ...y.ticks, stepSize: 1, callback: (value) => plot.tiers[value] ?? "" } }
          : { ...y, title: { display: true, text: "expected quality", color: y.ticks.color } },
      },
      plugins: {
        legend: { position: "bottom", labels: { color: x.ticks.color, usePointStyle: true, boxHeight: 6 } },
        tooltip: {
          callbacks: {
            label: ({ raw }) => {
              const between = raw.low === null ? "" : ` (${raw.low.toFixed(2)} to ${raw.high.toFixed(2)})`;
              const worth = plot.tiers ? raw.tier : `quality ${raw.worth.toFixed(2)}${between}`;
              return `${raw.name}: ${dollars(raw.cost)}, ${worth}`;
            },
          },
        },
      },
    },
    plugins: [marks],
  });
};

/** Draws every picture of candidates within `root`. */
export const drawCandidates = (root) => {
  for (const figure of root.querySelectorAll(".candidates-chart")) drawOne(figure);
};

drawCandidates(document);
onTheme(() => drawCandidates(document));
