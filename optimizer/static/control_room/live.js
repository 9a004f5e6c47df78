/* The live page: reads one stream of server-sent events, and limits the rows it keeps. */
import { draw, onTheme } from "../analytics/drawing.js";
import { counted, dollars } from "../analytics/words.js";
import { cell, fillTable } from "./figures.js";

const MOST_ROWS = 100;
const MINUTE = 60_000;
const MINUTES = 30;
const DRAWN_EVERY = 1000;
const page = document.getElementById("live");
const body = document.querySelector("#happenings tbody");
const picture = document.querySelector("#minutes canvas");
const byId = (id) => document.getElementById(id);
const minutes = new Map(); // the sums of each of the last minutes, by its start
let source = null;
let paused = false;
let lastSeen = "";
let drawn = 0;

const stateOf = (one) => {
  if (one.status === "error") return "failed";
  if (one.status === "partial") return "cut off";
  if (one.cache_hit) return "from the cache";
  return one.fallbacks ? `answered after ${counted(one.fallbacks, "failed call")}` : "answered";
};

const show = (one) => {
  const row = document.createElement("tr");
  row.className = one.status === "ok" ? "" : "failed";
  cell(row, "th", new Date(one.at).toISOString().slice(11, 19), `${page.dataset.decision}${one.id}/change/`);
  cell(row, "td", one.provider ? `${one.provider}/${one.model}` : "none");
  cell(row, "td", one.strategy);
  cell(row, "td", `${one.pattern}, ${one.tier}`);
  cell(row, "td", dollars(one.cost));
  cell(row, "td", dollars(one.saved));
  cell(row, "td", `${Math.round(one.latency_ms)} ms`);
  cell(row, "td", stateOf(one));
  body.prepend(row);
  while (body.rows.length > MOST_ROWS) body.lastElementChild.remove();
};

const drawMinutes = (starts, sums) => {
  const iso = (at) => new Date(at).toISOString();
  const series = (name, kind, tone, key) => ({ name, kind, tone, values: sums.map((one) => one[key]), low: [], high: [] });
  const chart = {
    title: "By minute", unit: "usd", stacked: false,
    series: [series("Saved", "line", "saved", "saved"), series("Spent", "bar", "spent", "spent")],
    rows: starts.map((at) => `${page.dataset.rows}?created_at__gte=${encodeURIComponent(iso(at))}&created_at__lt=${encodeURIComponent(iso(at + MINUTE))}`),
  };
  const titles = starts.map((at, n) => `${iso(at).slice(11, 16)} UTC: ${counted(sums[n].requests, "request")}, ${sums[n].failed} failed`);
  fillTable(document.querySelector("#minutes table"), chart, "Minute", titles);
  draw(picture, chart, starts.map((at) => iso(at).slice(11, 16)), titles);
};

const showMinutes = () => {
  const last = Math.floor(Date.now() / MINUTE) * MINUTE;
  const starts = Array.from({ length: MINUTES }, (_, n) => last - (MINUTES - 1 - n) * MINUTE);
  for (const at of minutes.keys()) if (at < starts[0]) minutes.delete(at);
  const sums = starts.map((at) => minutes.get(at) || { requests: 0, failed: 0, spent: "0", saved: "0" });
  const sum = (name) => sums.reduce((all, one) => all + Number(one[name]), 0);
  byId("rate").textContent = `${sum("requests").toLocaleString("en")} in ${MINUTES} minutes, ${sum("failed").toLocaleString("en")} failed`;
  byId("spent-lately").textContent = `${dollars(sum("spent"))} in ${MINUTES} minutes`;
  byId("saved-lately").textContent = `${dollars(sum("saved"))} in ${MINUTES} minutes`;

  // Redraw at a limited rate, and not while somebody points at the chart and reads it.
  if (Date.now() - drawn < DRAWN_EVERY || picture.matches(":hover")) return;
  drawn = Date.now();
  drawMinutes(starts, sums);
};

const say = (text) => { byId("state").textContent = text; };

const open = () => {
  source = new EventSource(page.dataset.events);
  source.onopen = () => say("Live.");
  source.onerror = () => {
    // The browser reconnects by itself, unless the server refused it.
    say(source.readyState === EventSource.CLOSED
      ? "Refused: too many viewers, or you are logged out. Reload the page."
      : "Reconnecting …");
  };
  source.addEventListener("request", (event) => {
    const one = JSON.parse(event.data);
    if (event.lastEventId === lastSeen) return;
    lastSeen = event.lastEventId;
    show(one);
  });
  source.addEventListener("sums", (event) => {
    const sums = JSON.parse(event.data);
    byId("requests").textContent = sums.today.requests.toLocaleString("en");
    byId("spent").textContent = dollars(sums.today.spent);
    byId("saved").textContent = dollars(sums.today.saved);
    for (const one of sums.minutes) minutes.set(new Date(one.at).getTime(), one);
    showMinutes();
  });
  source.addEventListener("missed", (event) => {
    say(`Live. Requests arrive too fast to show all: ${JSON.parse(event.data).count} are left out.`);
  });
};

const close = () => { if (source) source.close(); source = null; };
const clear = () => { body.replaceChildren(); minutes.clear(); };

byId("pause").addEventListener("click", (event) => {
  paused = !paused;
  event.target.setAttribute("aria-pressed", String(paused));
  event.target.textContent = paused ? "Resume" : "Pause";
  if (paused) { close(); say("Paused."); } else { clear(); open(); }
});
// A hidden page closes its stream, so that it does not count as a viewer.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) close();
  else if (!paused && !source) { clear(); open(); }
});
setInterval(() => { if (source) showMinutes(); }, 5000);
onTheme(() => { drawn = 0; showMinutes(); });
open();
