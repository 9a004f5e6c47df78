/* The chart of a decision's candidates: the expected cost and quality of each. */
import { axis, onTheme, place, quiet, themed } from "./drawing.js";
import { dollars, shortDollars } from "./words.js";

const ROLES = { chosen: "Chosen", baseline: "Baseline", other: "Not chosen" };
const TONES = { chosen: "--tone-saved", baseline: "--series-3", other: "--body-quiet-color" };

const meets = (one, other) => one.left < other.right && other.left < one.right && one.top < other.bottom && other.top < one.bottom;

/* Draws the interval of each point and, if there is room on one side, its name. */
const marks = {
  id: "marks",
  afterDatasetsDraw(chart) {
    const { ctx, chartArea, scales: { y } } = chart;
    const points = chart.data.datasets.flatMap((dataset, n) => chart.getDatasetMeta(n).data.map((point, at) => ({ ...dataset.data[at], x: point.x, y: point.y, colour: dataset.borderColor })));
    const taken = points.map(({ x, y: top }) => ({ left: x - 5, right: x + 5, top: top - 5, bottom: top + 5 }));
    ctx.save();
    ctx.font = `11px ${Chart.defaults.font.family}`;
    for (const { x, y: height, name, low, high, colour } of points) {
      ctx.strokeStyle = ctx.fillStyle = colour;
      if (low !== null) {
        ctx.beginPath();
        ctx.moveTo(x, y.getPixelForValue(low));
        ctx.lineTo(x, y.getPixelForValue(high));
        ctx.stroke();
      }
      const width = ctx.measureText(name).width;
      const boxes = [0, -15, 15].flatMap((lower) => [x + 9, x - 9 - width].map((left) => (
        { left, right: left + width, top: height + lower - 7, bottom: height + lower + 7 }
      )));
      const free = boxes.find((box) => box.left >= chartArea.left && box.right <= chartArea.right && !taken.some((other) => meets(box, other)));
      if (!free) continue;
      taken.push(free);
      ctx.fillText(name, free.left, free.top + 11);
    }
    ctx.restore();
  },
};

const heights = (plot, scale) => {
  if (plot.tiers) {
    return {
      ...scale, min: -0.5, max: plot.tiers.length - 0.5,
      afterBuildTicks: (made) => { made.ticks = plot.tiers.map((_, value) => ({ value })); },
      ticks: { ...scale.ticks, callback: (value) => plot.tiers[value] },
    };
  }
  const lows = plot.points.map((one) => one.low ?? one.worth);
  const highs = plot.points.map((one) => one.high ?? one.worth);
  return {
    ...scale, suggestedMin: Math.min(...lows), suggestedMax: Math.max(...highs),
    title: { display: true, text: "expected quality", color: scale.ticks.color },
  };
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
        label: ROLES[role], data: of(role), borderColor: themed(TONES[role]), backgroundColor: themed(TONES[role]),
        pointRadius: role === "chosen" ? 7 : 4.5, pointHoverRadius: 8,
      })).filter((dataset) => dataset.data.length),
    },
    options: {
      ...quiet(),
      layout: { padding: { top: 8, right: 12 } },
      scales: {
        x: {
          ...x, type: logarithmic ? "logarithmic" : "linear", min: logarithmic ? undefined : 0, grace: "10%",
          title: { display: true, text: "expected cost of the call, USD", color: x.ticks.color },
          ticks: { ...x.ticks, maxTicksLimit: 6, callback: (value) => shortDollars(value) },
        },
        y: heights(plot, y),
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

/** Draws all charts of candidates within `root`. */
export const drawCandidates = (root) => {
  for (const figure of root.querySelectorAll(".candidates-chart")) drawOne(figure);
};

drawCandidates(document);
onTheme(() => drawCandidates(document));
