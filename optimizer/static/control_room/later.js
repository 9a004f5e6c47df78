"use strict";

/* Loads the parts of a page that take longer; until then, they show that they are being made. */
const explain = (place, why) => {
  const line = document.createElement("p");
  line.className = "errornote";
  line.setAttribute("role", "alert");
  line.textContent = `This part could not be loaded: ${why}.`;
  place.replaceChildren(line);
};

const fetched = async (address) => {
  const response = await fetch(address);
  if (response.redirected) throw new Error("you are logged out");
  if (!response.ok) throw new Error(`the server answered with status ${response.status}`);
  return new DOMParser().parseFromString(await response.text(), "text/html").body;
};

const replace = (place, part) => {
  const opened = [...place.querySelectorAll("details")].map((details) => details.open);
  place.replaceChildren(...part.childNodes);
  place.querySelectorAll("details").forEach((details, n) => { details.open = Boolean(opened[n]); });
};

/* A part that is made bit by bit names the address that goes on with it. */
const load = async (place) => {
  let address = place.dataset.from;
  while (address) {
    replace(place, await fetched(address));
    address = place.querySelector("[data-again]")?.dataset.again;
  }
};

for (const place of document.querySelectorAll(".later")) {
  load(place).catch((error) => explain(place, error.message));
}
