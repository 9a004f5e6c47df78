"use strict";

/* Loads the parts of a page that take longer; until then, they show that they are being made. */
const explain = (place, why) => {
  const line = document.createElement("p");
  line.className = "errornote";
  line.setAttribute("role", "alert");
  line.textContent = `This part could not be loaded: ${why}.`;
  place.replaceChildren(line);
};

const load = async (place) => {
  const response = await fetch(place.dataset.from);
  if (response.redirected) throw new Error("you are logged out");
  if (!response.ok) throw new Error(`the server answered with status ${response.status}`);
  const part = new DOMParser().parseFromString(await response.text(), "text/html");
  place.replaceChildren(...part.body.childNodes);
};

for (const place of document.querySelectorAll(".later")) {
  load(place).catch((error) => explain(place, error.message));
}
