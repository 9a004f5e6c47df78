/* Draws the server's figures with Chart.js, in the colours of the page, light or dark. */
import { bounds, shortDollars, words } from "./words.js";

const SERIES_COLOURS = 6;
const TONES = new Set(["spent", "saved", "quality", "cache", "limit"]);

/* The value of a colour variable depends on the element that uses it, so an element uses it here. */
const probe = document.body.appendChild(document.createElement("i"));
probe.hidden = true;
export const themed = (name) => {
  probe.style.color = `var(${name})`;
  return getComputedStyle(probe).color;
};
export const faint = (colour, share) => `color-mix(in srgb, ${colour} ${share}%, transparent)`;

/** The options that all charts share. */
export const quiet = () => {
  Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
  return { animation: false, responsive: true, maintainAspectRatio: false };
};

/** An axis with visible but unobtrusive lines. */
export const axis = () => ({
  grid: { color: themed("--hairline-color") },
  border: { display: false },
  ticks: { color: themed("--body-quiet-color") },
});

/** Draws a chart on `canvas`, and replaces the chart that is there. */
export const place = (canvas, config) => {
  Chart.getChart(canvas)?.destroy();
  return new Chart(canvas, config);
};

/** Calls `again` whenever the page switches between light and dark. */
export const onTheme = (again) => {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
  new MutationObserver(again).observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
};

const number = (value) => (value === null ? null : Number(value));

const colourOf = (series, n) => themed(TONES.has(series.tone) ? `--tone-${series.tone}` : `--series-${(n % SERIES_COLOURS) + 1}`);

const dataset = (series, n, stacked) => {
  const colour = colourOf(series, n);
  const common = { label: series.name, data: series.values.map(number), borderColor: colour, backgroundColor: colour, told: series };
  if (series.kind === "bar") {
    return { ...common, type: "bar", order: 3, maxBarThickness: 36, backgroundColor: stacked ? colour : faint(colour, 75) };
  }
  const dashed = series.kind !== "line";
  return {
    ...common, type: "line", order: 1, spanGaps: true, borderWidth: series.kind === "dashed" ? 1.5 : 2,
    borderDash: dashed ? [5, 4] : [], pointRadius: dashed || series.values.length > 40 ? 0 : 2.5, pointHoverRadius: 5,
  };
};

/* The band of an interval: an invisible line at the lower bound, and one at the upper bound, filled down to it. */
const band = (series, n) => {
  if (!series.low.some((value) => value !== null)) return [];
  const edge = { type: "line", order: 2, borderWidth: 0, pointRadius: 0, pointHoverRadius: 0, unnamed: true };
  return [
    { ...edge, data: series.low.map(number), fill: false },
    { ...edge, data: series.high.map(number), fill: "-1", backgroundColor: faint(colourOf(series, n), 18) },
  ];
};

const plugins = (chart, titles) => ({
  legend: {
    display: chart.stacked || chart.series.length > 1,
    position: "bottom",
    labels: {
      color: themed("--body-quiet-color"), boxWidth: 12, boxHeight: 3,
      filter: (item, data) => !data.datasets[item.datasetIndex].unnamed,
    },
  },
  tooltip: {
    filter: (item) => !item.dataset.unnamed,
    callbacks: {
      title: ([item]) => (item ? titles[item.dataIndex] : ""),
      label: ({ dataset: { label, told }, dataIndex: n }) =>
        `${label}: ${words(chart.unit, told.values[n])}${bounds(chart.unit, told, n)}`,
      footer: () => (chart.rows.length ? "Click to see the requests" : ""),
    },
  },
});

/** Draws a chart over time; `labels` are the texts below its steps, `titles` the headings of its tooltips. */
export const draw = (canvas, chart, labels, titles) => {
  const leads = (active) => active.length > 0 && chart.rows.length > 0;
  const x = axis();
  const y = axis();
  return place(canvas, {
    type: "bar",
    data: { labels, datasets: chart.series.flatMap((series, n) => [dataset(series, n, chart.stacked), ...band(series, n)]) },
    options: {
      ...quiet(),
      interaction: { mode: "index", intersect: false },
      scales: {
        x: { ...x, stacked: chart.stacked, grid: { display: false }, ticks: { ...x.ticks, maxRotation: 0, autoSkipPadding: 12 } },
        y: {
          ...y, stacked: chart.stacked, beginAtZero: true, suggestedMax: chart.unit === "percent" ? 10 : undefined,
          ticks: { ...y.ticks, maxTicksLimit: 6, precision: chart.unit === "count" ? 0 : undefined, callback: (value) => (chart.unit === "usd" ? shortDollars(value) : words(chart.unit, value)) },
        },
      },
      plugins: plugins(chart, titles),
      onClick: (event, active) => { if (leads(active)) location.assign(chart.rows[active[0].index]); },
      onHover: (event, active) => { event.native.target.classList.toggle("leads", leads(active)); },
    },
  });
};
