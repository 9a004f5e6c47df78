/* The home page: draws the charts, loads the details when they are opened, and refreshes both. */
import { drawBurnDown } from "../analytics/burn_down.js";
import { draw, onTheme } from "../analytics/drawing.js";
import { dollars } from "../analytics/words.js";
import { fillTable, isRead } from "./figures.js";
import { STEPS, longName, shortName } from "./steps.js";

const EVERY = 60_000;
const place = document.getElementById("charts");
const asOf = document.getElementById("as-of");
const more = document.getElementById("more-charts");
const details = document.getElementById("details");
/* The charts that matter most; the others are one click away. */
const FIRST = new Set(["spend", "causes", "quality", "models"]);
let told = null;

const figureOf = (chart) => {
  const id = `chart-${chart.id}`;
  const there = document.getElementById(id);
  if (there) return there;
  const made = document.getElementById("chart-template").content.firstElementChild.cloneNode(true);
  made.id = id;
  made.classList.toggle("wide", chart.wide);
  const canvas = made.querySelector("canvas");
  canvas.setAttribute("aria-label", `${chart.title}; the table below has the figures`);
  (FIRST.has(chart.id) ? place : more.querySelector(".charts")).append(made);
  return made;
};

const isEmpty = (chart) => !chart.series.some((series) => series.kind !== "limit" && series.values.some((value) => value !== null && Number(value) !== 0));

const showBudgets = () => {
  const shelf = document.getElementById("burn-downs");
  shelf.hidden = !told.budgets.length;
  while (shelf.childElementCount > told.budgets.length) shelf.lastElementChild.remove();
  told.budgets.forEach((plot, n) => {
    if (!shelf.children[n]) shelf.append(document.getElementById("burn-down-template").content.firstElementChild.cloneNode(true));
    const figure = shelf.children[n];
    const link = figure.querySelector("a");
    link.textContent = plot.name;
    link.href = plot.page;
    figure.querySelector("figcaption span").textContent = `${dollars(plot.points[plot.points.length - 1][1])} of ${dollars(plot.limit)} left`;
    drawBurnDown(figure.querySelector("canvas"), plot);
  });
};

/* Charts without data are a line of names, not empty boxes. */
const nameEmpty = (charts) => {
  const line = document.getElementById("no-charts");
  line.hidden = !charts.length;
  line.textContent = `Without data in this period: ${charts.map((chart) => chart.title).join(", ")}.`;
};

/* Boxes keep the place of what is loaded, so that nothing jumps when it is there. */
const removeSkeletons = (there) => {
  for (const box of there.querySelectorAll(":scope > .skeleton")) box.remove();
  there.removeAttribute("aria-busy");
};

const show = () => {
  if (!told) return;
  removeSkeletons(place);
  if (more.open) showBudgets();
  const labels = told.labels.map((at) => shortName(told.step, at));
  const titles = told.labels.map((at) => longName(told.step, at));
  const empty = told.charts.filter(isEmpty);
  const drawn = told.charts.filter((chart) => !empty.includes(chart));
  for (const chart of empty) document.getElementById(`chart-${chart.id}`)?.remove();
  nameEmpty(empty);
  more.hidden = !told.budgets.length && drawn.every((chart) => FIRST.has(chart.id));
  for (const chart of drawn) {
    // A chart that is not shown has no size to be drawn in.
    if (!FIRST.has(chart.id) && !more.open) continue;
    const figure = figureOf(chart);
    figure.querySelector("figcaption strong").textContent = chart.title;
    figure.querySelector("figcaption span").textContent = chart.note;
    draw(figure.querySelector("canvas"), chart, labels, titles);
    fillTable(figure.querySelector("table"), chart, STEPS[told.step], titles);
  }
};

const answer = async (address) => {
  const response = await fetch(address);
  if (response.redirected) throw new Error("you are logged out");
  if (!response.ok) throw new Error(`the server answered with status ${response.status}`);
  return response;
};

const drawCharts = async () => {
  const response = await answer(place.dataset.from);
  told = await response.json();
  document.getElementById("charts-trouble").textContent = "";
  show();
};

const load = async (there) => {
  const response = await answer(there.dataset.from);
  if (isRead(there)) return;
  there.innerHTML = await response.text(); // escaped by the server
};

const showDetails = async () => {
  if (details.open) await Promise.all(["tables", "whose"].map((id) => load(document.getElementById(id))));
};

/* Replaces figures and tables by those of a new request, except where the focus is. */
const renew = async () => {
  const response = await answer(location.href);
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  for (const id of ["headline", "troubles", "figures", "as-of"]) {
    const there = document.getElementById(id);
    const fresh = page.getElementById(id);
    if (there && fresh && !isRead(there)) there.replaceChildren(...fresh.childNodes);
  }
};

const attempt = async (work) => {
  try {
    await work();
  } catch (error) {
    for (const there of [place, ...details.querySelectorAll(".tables")]) removeSkeletons(there);
    document.getElementById("charts-trouble").textContent = `Not up to date: ${error.message}.`;
  }
};

if (place) {
  attempt(drawCharts);
  attempt(showDetails);
  details.addEventListener("toggle", () => attempt(showDetails));
  more.addEventListener("toggle", show);
  onTheme(show);
  if (asOf.dataset.renews) {
    setInterval(() => {
      if (document.hidden) return;
      attempt(async () => { await renew(); await Promise.all([drawCharts(), showDetails()]); });
    }, EVERY);
  }
}
