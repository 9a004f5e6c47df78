"use strict";
/* The home page: who and what the money went to comes after the figures, as it takes longer. */
(async () => {
  const place = document.getElementById("whose");
  if (!place) return;
  const response = await fetch(place.dataset.from);
  if (response.ok) place.innerHTML = await response.text(); // escaped by the server
})();
