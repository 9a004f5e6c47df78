/* Burn-down charts of budgets: what is left of each in its period, and the outlook. */
import { axis, faint, onTheme, place, quiet, themed } from "./drawing.js";
import { dollars, shortDollars } from "./words.js";

const time = (at) => new Date(at).getTime();
const DAY = 86_400_000;
/* The part of a time that distinguishes the points of a chart that spans `whole` milliseconds. */
const shortTime = (at, whole) => {
  const [date, clock] = [new Date(at).toISOString().slice(5, 10), new Date(at).toISOString().slice(11, 16)];
  if (whole > 4 * DAY) return date;
  return whole > 1.5 * DAY ? `${date} ${clock}` : clock;
};

const line = (label, data, colour, changes) => ({
  label, data, borderColor: colour, backgroundColor: colour, showLine: true, pointRadius: 0, pointHoverRadius: 4, borderWidth: 2, ...changes,
});

const atTimes = (points) => points.map(([at, left]) => ({ x: time(at), y: Number(left) }));

const outlook = (plot, length) => {
  if (!plot.rolling) return plot.runs_out ? `used up at this pace by ${shortTime(plot.runs_out, length)}` : "it lasts at this pace";
  const whole = plot.ahead.find(([, left]) => Number(left) >= Number(plot.limit));
  return `all of it available ${whole === plot.ahead[0] ? "now" : `by ${shortTime(whole[0], length)} if nothing more is spent`}`;
};

/** Draws the burn-down chart of one budget on `canvas`. */
export const drawBurnDown = (canvas, plot) => {
  const [start, end] = [plot.start, plot.end].map(time);
  const limit = Number(plot.limit);
  const points = atTimes(plot.points);
  const last = points[points.length - 1];
  const spent = themed("--tone-spent");
  const even = line("Even pace", [{ x: start, y: limit }, { x: end, y: 0 }], themed("--body-quiet-color"), { borderDash: [2, 4], borderWidth: 1 });
  const x = axis();
  const y = axis();
  canvas.setAttribute("aria-label", `${plot.name}: ${dollars(last.y)} of ${dollars(limit)} left; ${outlook(plot, end - start)}`);
  place(canvas, {
    type: "scatter",
    data: {
      datasets: [
        line("Left", points, spent, { fill: "origin", backgroundColor: faint(spent, 15), pointRadius: points.length > 40 ? 0 : 2 }),
        line(plot.rolling ? "If nothing more is spent" : "At this pace", atTimes(plot.ahead), plot.runs_out ? themed("--tone-limit") : spent, { borderDash: [5, 4], borderWidth: 1.5 }),
        ...(plot.rolling ? [] : [even]),
      ],
    },
    options: {
      ...quiet(),
      interaction: { mode: "nearest", intersect: false },
      scales: {
        x: { ...x, min: start, max: end, grid: { display: false }, ticks: { ...x.ticks, maxTicksLimit: 5, maxRotation: 0, callback: (value) => shortTime(value, end - start) } },
        y: { ...y, suggestedMin: 0, suggestedMax: limit, ticks: { ...y.ticks, maxTicksLimit: 5, callback: (value) => shortDollars(value) } },
      },
      plugins: {
        legend: { position: "bottom", labels: { color: x.ticks.color, boxWidth: 12, boxHeight: 3 } },
        tooltip: { callbacks: { label: ({ dataset, raw }) => `${dataset.label}: ${dollars(raw.y)} on ${new Date(raw.x).toISOString().slice(0, 16).replace("T", " ")} UTC` } },
      },
    },
  });
};

/* A budget's own page has the data of each chart next to its canvas. */
const drawAll = () => {
  for (const figure of document.querySelectorAll(".burn-down:has(script)")) {
    drawBurnDown(figure.querySelector("canvas"), JSON.parse(figure.querySelector("script").textContent));
  }
};
drawAll();
onTheme(drawAll);
