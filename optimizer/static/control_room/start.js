"use strict";
/* Getting started: shows the first request. */
(() => {
  const page = document.getElementById("start");

  const opened = Date.now();
  const source = new EventSource(page.dataset.events);
  source.addEventListener("request", (event) => {
    const one = JSON.parse(event.data);
    if (new Date(one.at).getTime() < opened) return;
    const link = document.createElement("a");
    link.href = `${page.dataset.decision}${one.id}/change/`;
    link.textContent = `${one.provider}/${one.model}, ${one.strategy}: decision details`;
    document.getElementById("arrived").replaceChildren("A request has arrived: ", link);
  });
  addEventListener("pagehide", () => source.close());
})();
