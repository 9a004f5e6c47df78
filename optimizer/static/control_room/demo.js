"use strict";
/* Follows the demo while it is made, and goes to the home page once it is ready. */
(() => {
  const page = document.getElementById("demo");
  if (page.dataset.phase !== "making") return;
  const bar = document.getElementById("demo-bar");
  const step = document.getElementById("demo-step");

  const look = async () => {
    try {
      const response = await fetch(page.dataset.progress);
      if (!response.ok || response.redirected) throw new Error(`status ${response.status}`);
      const state = await response.json();
      if (state.phase === "ready") { location.assign(page.dataset.home); return; }
      if (state.phase !== "making") { location.reload(); return; }
      step.textContent = state.total ? `${state.step}: ${state.done.toLocaleString("en-US")} of ${state.total.toLocaleString("en-US")}` : `${state.step} …`;
      if (state.total) { bar.max = state.total; bar.value = state.done; } else { bar.removeAttribute("value"); }
    } catch (error) {
      step.textContent = `The server could not be reached: ${error.message}`;
    }
    setTimeout(look, 500);
  };
  look();
})();
