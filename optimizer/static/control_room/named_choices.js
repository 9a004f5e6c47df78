"use strict";
/* Gives the boxes of Django's autocomplete the names of their labels, for screen readers. */
const nameBoxes = () => {
  for (const select of document.querySelectorAll("select.admin-autocomplete")) {
    const label = select.labels[0]?.textContent.trim().replace(/:$/, "");
    const box = select.nextElementSibling?.querySelector("[role=combobox]");
    if (!label || !box) continue;
    const text = box.querySelector("[role=textbox]");
    for (const part of [box, text]) part?.setAttribute("aria-label", label);
    // Its text stands for the value; an empty one names nothing.
    box.removeAttribute("aria-labelledby");
    if (text?.id) box.setAttribute("aria-describedby", text.id);
  }
};
// After the boxes are made: jQuery runs what waits for the page in the order in which it was told.
window.django?.jQuery(nameBoxes);
