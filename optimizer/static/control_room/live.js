/* The live page: reads one stream of server-sent events, and keeps what it shows bounded. */
import { dollars } from "../analytics/words.js";

(() => {
  const MOST_ROWS = 100;
  const MINUTE = 60_000;
  const page = document.getElementById("live");
  const body = document.querySelector("#happenings tbody");
  const byId = (id) => document.getElementById(id);
  const minute = []; // [arrived, cost] of the last sixty seconds
  let source = null;
  let paused = false;
  let lastSeen = "";

  const cell = (tag, text, parent) => {
    const made = document.createElement(tag);
    made.textContent = text;
    parent.append(made);
    return made;
  };

  const stateOf = (one) => {
    if (one.status === "error") return "failed";
    if (one.status === "partial") return "cut off";
    if (one.cache_hit) return "from the cache";
    return one.fallbacks ? `answered after ${one.fallbacks} failed` : "answered";
  };

  const show = (one) => {
    const row = document.createElement("tr");
    row.className = one.status === "ok" ? "" : "failed";
    const at = cell("th", "", row);
    at.scope = "row";
    const link = cell("a", new Date(one.at).toISOString().slice(11, 19), at);
    link.href = `${page.dataset.decision}${one.id}/change/`;
    cell("td", one.provider ? `${one.provider}/${one.model}` : "nobody", row);
    cell("td", one.strategy, row);
    cell("td", `${one.pattern}, ${one.tier}`, row);
    cell("td", dollars(one.cost), row);
    cell("td", dollars(one.saved), row);
    cell("td", `${Math.round(one.latency_ms)} ms`, row);
    cell("td", stateOf(one), row);
    body.prepend(row);
    while (body.rows.length > MOST_ROWS) body.lastElementChild.remove();
  };

  const showMinute = () => {
    const since = Date.now() - MINUTE;
    while (minute.length && minute[0][0] < since) minute.shift();
    const spent = minute.reduce((sum, [, cost]) => sum + cost, 0);
    byId("rate").textContent = `${minute.length} in the last minute`;
    byId("spent-minute").textContent = `${dollars(spent)} in the last minute`;
  };

  const say = (text) => { byId("state").textContent = text; };

  const open = () => {
    source = new EventSource(page.dataset.events);
    source.onopen = () => say("Live.");
    source.onerror = () => {
      // The browser tries again by itself, unless it was refused.
      say(source.readyState === EventSource.CLOSED
        ? "Refused: too many watch, or you are logged out. Load the page again."
        : "Connecting again …");
    };
    source.addEventListener("request", (event) => {
      const one = JSON.parse(event.data);
      if (event.lastEventId === lastSeen) return;
      lastSeen = event.lastEventId;
      const arrived = new Date(one.at).getTime();
      if (arrived > Date.now() - MINUTE) minute.push([arrived, Number(one.cost || 0)]);
      show(one);
    });
    source.addEventListener("today", (event) => {
      const today = JSON.parse(event.data);
      byId("requests").textContent = today.requests.toLocaleString("en");
      byId("spent").textContent = dollars(today.spent);
      byId("saved").textContent = dollars(today.saved);
      showMinute();
    });
    source.addEventListener("missed", (event) => {
      say(`Live, but too fast to show all: ${JSON.parse(event.data).count} left out.`);
    });
  };

  const close = () => { if (source) source.close(); source = null; };
  const clear = () => { body.replaceChildren(); minute.length = 0; };

  byId("pause").addEventListener("click", (event) => {
    paused = !paused;
    event.target.setAttribute("aria-pressed", String(paused));
    event.target.textContent = paused ? "Go on" : "Pause";
    if (paused) { close(); say("Paused."); } else { clear(); open(); }
  });
  // A page that nobody sees takes no place among those who watch.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) close();
    else if (!paused && !source) { clear(); open(); }
  });
  setInterval(showMinute, 5000);
  open();
})();
