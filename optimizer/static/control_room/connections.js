"use strict";
/* Tests connections: each button asks one provider, and its answer stands beside the button. */
(() => {
  const page = document.querySelector("[data-test]");
  const token = page.querySelector("[name=csrfmiddlewaretoken]").value;

  for (const button of page.querySelectorAll(".test")) {
    const result = button.nextElementSibling;
    button.addEventListener("click", async () => {
      button.disabled = true;
      result.textContent = "Testing …";
      result.className = "";
      try {
        const response = await fetch(page.dataset.test, {
          method: "POST",
          headers: { "X-CSRFToken": token },
          body: new URLSearchParams({ provider: button.dataset.provider }),
        });
        const body = await response.json();
        result.textContent = body.words || body.detail;
        result.className = body.works ? "works" : "fails";
      } catch (error) {
        result.textContent = `The server could not be reached: ${error.message}`;
      }
      button.disabled = false;
    });
  }
})();
