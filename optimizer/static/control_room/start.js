"use strict";
/* Getting started: copies snippets, shows the first request. */
(() => {
  const page = document.getElementById("start");

  for (const button of page.querySelectorAll(".copy")) {
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(button.previousElementSibling.textContent);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 2000);
    });
  }

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
