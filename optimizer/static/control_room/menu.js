"use strict";
/* On a phone, the list of tables is a menu that a button of the header opens. */
(() => {
  const button = document.getElementById("menu");
  const list = document.getElementById("nav-sidebar");
  if (!button) return;
  if (!list) { button.remove(); return; }
  const show = (open) => {
    document.body.classList.toggle("menu-open", open);
    button.setAttribute("aria-expanded", String(open));
  };
  button.addEventListener("click", () => {
    show(button.getAttribute("aria-expanded") !== "true");
    if (document.body.classList.contains("menu-open")) list.querySelector("input, a")?.focus();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !document.body.classList.contains("menu-open")) return;
    show(false);
    button.focus();
  });
})();
/* A group of the header closes as menus do: with Escape, by a click elsewhere, when focus leaves. */
(() => {
  for (const group of document.querySelectorAll(".rooms .group")) {
    group.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !group.open) return;
      group.open = false;
      group.querySelector("summary").focus();
    });
    group.addEventListener("focusout", (event) => {
      if (event.relatedTarget && !group.contains(event.relatedTarget)) group.open = false;
    });
    document.addEventListener("click", (event) => {
      if (!group.contains(event.target)) group.open = false;
    });
  }
})();
