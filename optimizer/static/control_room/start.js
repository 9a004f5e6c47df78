"use strict";
/* Getting started: tests connections, shows the first request. */
(() => {
  const page = document.getElementById("start");
  const token = page.querySelector("[name=csrfmiddlewaretoken]").value;

  for (const button of page.querySelectorAll(".test")) {
    const said = button.nextElementSibling;
    button.addEventListener("click", async () => {
      button.disabled = true;
      said.textContent = "Testing …";
      said.className = "";
      try {
        const response = await fetch(page.dataset.test, {
          method: "POST",
          headers: { "X-CSRFToken": token },
          body: new URLSearchParams({ provider: button.dataset.provider }),
        });
        const body = await response.json();
        said.textContent = body.words || body.detail;
        said.className = body.works ? "works" : "fails";
      } catch (error) {
        said.textContent = `The server could not be reached: ${error.message}`;
      }
      button.disabled = false;
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
