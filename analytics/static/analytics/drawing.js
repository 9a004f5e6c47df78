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
  // Chart.js cannot darken a mixed colour by itself, and would draw what is pointed at in black.
  const common = {
    label: series.name, data: series.values.map(number), borderColor: colour, backgroundColor: colour,
    hoverBackgroundColor: colour, hoverBorderColor: colour, told: series,
  };
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

/** The ends of the axis: what was measured decides them, and a wide interval may reach beyond. */
const ends = (chart) => {
  const columns = chart.series.filter((series) => series.kind === "bar");
  const rest = chart.series.filter((series) => !chart.stacked || series.kind !== "bar");
  const measured = rest.flatMap((series) => series.values.map(number)).filter((value) => value !== null);
  if (chart.stacked) {
    const count = Math.max(0, ...columns.map((series) => series.values.length));
    for (let n = 0; n < count; n += 1) {
      const step = columns.map((series) => number(series.values[n]) ?? 0);
      measured.push(step.filter((value) => value > 0).reduce((sum, value) => sum + value, 0));
      measured.push(step.filter((value) => value < 0).reduce((sum, value) => sum + value, 0));
    }
  }
  const bounds = chart.series.flatMap((series) => [...series.low, ...series.high]).filter((value) => value !== null).map(Number);
  const top = Math.max(0, ...measured);
  const bottom = Math.min(0, ...measured);
  const reach = (top - bottom) || 1;
  const high = Math.min(Math.max(top, ...bounds), top + reach);
  const low = Math.max(Math.min(bottom, ...bounds), bottom - reach);
  const wide = bounds.some((value) => value > high || value < low);
  // Nothing measured, or nothing but zeros, leaves no room for an axis below zero.
  return {
    min: low < 0 ? (wide && low === bottom - reach ? low : undefined) : 0,
    max: wide && high === top + reach ? high : undefined,
    suggestedMax: top > 0 || low < 0 ? undefined : 1,
  };
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
          ...y, stacked: chart.stacked, beginAtZero: true, ...ends(chart), ...(chart.unit === "percent" ? { suggestedMax: 10 } : {}),
          ticks: { ...y.ticks, maxTicksLimit: 6, precision: chart.unit === "count" ? 0 : undefined, callback: (value) => (chart.unit === "usd" ? shortDollars(value) : words(chart.unit, value)) },
        },
      },
      plugins: plugins(chart, titles),
      onClick: (event, active) => { if (leads(active)) location.assign(chart.rows[active[0].index]); },
      onHover: (event, active) => { event.native.target.classList.toggle("leads", leads(active)); },
    },
  });
};
