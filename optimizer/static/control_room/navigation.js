"use strict";
/* The navigation: a menu on a phone, and groups that stay open or closed as the user left them. */
(() => {
  const KEY = "optimizer.closed-groups";
  const button = document.getElementById("menu");
  const list = document.getElementById("navigation");
  if (!button || !list) return;

  const show = (open) => {
    document.body.classList.toggle("menu-open", open);
    button.setAttribute("aria-expanded", String(open));
  };
  button.addEventListener("click", () => {
    show(button.getAttribute("aria-expanded") !== "true");
    if (document.body.classList.contains("menu-open")) list.querySelector("a")?.focus();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !document.body.classList.contains("menu-open")) return;
    show(false);
    button.focus();
  });

  const read = () => {
    try { return new Set(JSON.parse(localStorage.getItem(KEY) || "[]")); } catch { return new Set(); }
  };
  const groups = [...list.querySelectorAll("details")];
  const closed = read();
  for (const group of groups) {
    // The group of the page that is open is always shown.
    if (closed.has(group.dataset.group) && !group.querySelector("[aria-current]")) group.open = false;
    group.querySelector("summary").addEventListener("click", () => {
      // The click comes before the change.
      if (group.open) closed.add(group.dataset.group); else closed.delete(group.dataset.group);
      try { localStorage.setItem(KEY, JSON.stringify([...closed])); } catch { /* it is not kept then */ }
    });
  }
  // Only the list moves, not the page, so that the heading stays where it is.
  const current = list.querySelector("[aria-current]");
  if (current && list.scrollHeight > list.clientHeight) list.scrollTop = Math.max(0, current.offsetTop - list.clientHeight / 2);
})();
