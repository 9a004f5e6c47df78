/* Budgets as burn-downs: what is left of each in its period, and how far it goes at this pace. */
import { axis, faint, onTheme, place, quiet, style } from "./drawing.js";
import { dollars, shortDollars } from "./words.js";

const time = (at) => new Date(at).getTime();
const shortTime = (at, whole) => new Date(at).toISOString().slice(...(whole > 2 * 86_400_000 ? [5, 10] : [11, 16]));

const line = (label, data, colour, changes) => ({
  label, data, borderColor: colour, backgroundColor: colour, showLine: true, pointRadius: 0, pointHoverRadius: 4, borderWidth: 2, ...changes,
});

/** Draws one on `canvas`. */
export const drawBurnDown = (canvas, plot) => {
  const [start, end, now] = [plot.start, plot.end, plot.now].map(time);
  const limit = Number(plot.limit);
  const points = plot.points.map(([at, left]) => ({ x: time(at), y: Number(left) }));
  const last = points[points.length - 1];
  const pace = now > start ? (limit - last.y) / (now - start) : 0;
  const goal = plot.runs_out ? { x: time(plot.runs_out), y: 0 } : { x: end, y: last.y - pace * (end - now) };
  const spent = style("--tone-spent");
  const x = axis();
  const y = axis();
  canvas.setAttribute("aria-label", `${plot.name}: ${dollars(last.y)} of ${dollars(limit)} left; ${plot.runs_out ? `used up at this pace by ${shortTime(goal.x, end - start)}` : "it lasts at this pace"}`);
  place(canvas, {
    type: "scatter",
    data: {
      datasets: [
        line("Left", points, spent, { fill: "origin", backgroundColor: faint(spent, 15), pointRadius: points.length > 40 ? 0 : 2 }),
        line("At this pace", [last, goal], plot.runs_out ? style("--tone-limit") : spent, { borderDash: [5, 4], borderWidth: 1.5 }),
        line("Evenly", [{ x: start, y: limit }, { x: end, y: 0 }], style("--body-quiet-color"), { borderDash: [2, 4], borderWidth: 1 }),
      ],
    },
    options: {
      ...quiet(),
      interaction: { mode: "nearest", intersect: false },
      scales: {
        x: { ...x, min: start, max: end, grid: { display: false }, ticks: { ...x.ticks, maxTicksLimit: 6, maxRotation: 0, callback: (value) => shortTime(value, end - start) } },
        y: { ...y, suggestedMin: 0, suggestedMax: limit, ticks: { ...y.ticks, maxTicksLimit: 5, callback: (value) => shortDollars(value) } },
      },
      plugins: {
        legend: { position: "bottom", labels: { color: x.ticks.color, boxWidth: 12, boxHeight: 3 } },
        tooltip: { callbacks: { label: ({ dataset, raw }) => `${dataset.label}: ${dollars(raw.y)} on ${new Date(raw.x).toISOString().slice(0, 16).replace("T", " ")} UTC` } },
      },
    },
  });
};

/* On a budget's own page the figures stand beside their pictures. */
const drawAll = () => {
  for (const figure of document.querySelectorAll(".burn-down:has(script)")) {
    drawBurnDown(figure.querySelector("canvas"), JSON.parse(figure.querySelector("script").textContent));
  }
};
drawAll();
onTheme(drawAll);
