/* The playground: shows the choice of each strategy, and streams answers side by side. */
import { drawCandidates } from "../analytics/candidates.js";
import { dollars } from "../analytics/words.js";

const MOST_AT_ONCE = 6;
const form = document.getElementById("playground");
const byId = (id) => document.getElementById(id);
const token = form.querySelector("[name=csrfmiddlewaretoken]").value;
let running = null;

const trouble = (text) => {
  byId("trouble").textContent = text;
  byId("trouble").hidden = !text;
};

const words = (body, status) => {
  const errors = Object.entries(body.errors || {}).map(([field, reasons]) => ` ${field}: ${[reasons].flat(9).join(" ")}`).join(";");
  return `${body.detail || `The server answered with status ${status}.`}${errors}`;
};

const post = (url, body, signal) => fetch(url, {
  method: "POST",
  headers: { "Content-Type": "application/json", "X-CSRFToken": token },
  body: JSON.stringify(body),
  signal,
});

const refusal = async (response) => {
  const body = await response.json().catch(() => ({}));
  return words(body, response.status);
};

const question = () => {
  const turns = [];
  if (byId("system").value.trim()) turns.push({ role: "system", text: byId("system").value });
  for (const turn of byId("turns").children) {
    const text = turn.querySelector("textarea").value;
    if (text.trim()) turns.push({ role: turn.querySelector("select").value, text });
  }
  turns.push({ role: "user", text: byId("prompt").value });
  return { turns, max_tokens: Number(byId("max-tokens").value) };
};

byId("add-turn").addEventListener("click", () => {
  const turn = byId("turn-template").content.firstElementChild.cloneNode(true);
  const before = byId("turns").lastElementChild;
  if (before && before.querySelector("select").value === "user") turn.querySelector("select").value = "assistant";
  turn.querySelector(".remove").addEventListener("click", () => turn.remove());
  byId("turns").append(turn);
  turn.querySelector("textarea").focus();
});

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  trouble("");
  byId("choices").setAttribute("aria-busy", "true");
  try {
    const response = await post(form.dataset.choices, { ...question(), among: byId("among").value });
    if (response.ok) {
      byId("choices").innerHTML = await response.text(); // escaped by the server
      drawCandidates(byId("choices"));
    } else trouble(await refusal(response));
  } catch (error) {
    trouble(`The server could not be reached: ${error.message}`);
  }
  byId("choices").removeAttribute("aria-busy");
});

const rate = async (panel, id, button) => {
  const said = panel.querySelector(".rating [role=status]");
  try {
    const response = await post(form.dataset.rate, { request_id: id, rating: Number(button.dataset.rating) });
    said.textContent = response.ok
      ? `Rated ${(await response.json()).quality_score.toFixed(2)}. Routing learns from it.`
      : await refusal(response);
  } catch (error) {
    said.textContent = `The rating was not saved: ${error.message}`;
  }
};

const ended = (panel, piece) => {
  const seconds = piece.took_ms / 1000;
  const writing = (piece.took_ms - (piece.first_token_ms ?? piece.took_ms)) / 1000;
  const speed = writing > 0.05 ? `, ${Math.round(piece.tokens_out / writing)} tokens/s` : "";
  const first = piece.first_token_ms === null ? "" : `, first token after ${Math.round(piece.first_token_ms)} ms`;
  panel.querySelector(".facts").textContent = `${piece.cost === null ? "cost unknown" : dollars(piece.cost)}; ${piece.tokens_in} tokens in, ${piece.tokens_out} out; ${seconds.toFixed(2)} s${first}${speed}; finish reason “${piece.finish_reason}”.`;
  const rating = panel.querySelector(".rating");
  rating.hidden = false;
  rating.querySelector("a").href = `${form.dataset.decisions}${piece.request_id}/change/`;
  for (const button of rating.querySelectorAll("button")) {
    button.addEventListener("click", () => rate(panel, piece.request_id, button));
  }
};

const hear = (panel, piece) => {
  if (piece.type === "begun") panel.querySelector(".chosen").textContent = `${piece.model}: ${piece.reasoning}`;
  else if (piece.type === "text") panel.querySelector("pre").append(piece.text);
  else if (piece.type === "thinking") panel.querySelector(".facts").textContent = "Thinking …";
  else if (piece.type === "failed") panel.querySelector(".facts").textContent = `Failed: ${piece.detail}`;
  else if (piece.type === "end") ended(panel, piece);
};

const runOne = async (model, asked, signal) => {
  const panel = byId("answer-template").content.firstElementChild.cloneNode(true);
  panel.querySelector("h2").textContent = model;
  byId("answers").append(panel);
  const facts = panel.querySelector(".facts");
  try {
    const response = await post(form.dataset.run, { ...asked, model }, signal);
    if (!response.ok) {
      facts.textContent = `Refused: ${await refusal(response)}`;
      return;
    }
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let waiting = "";
    for (let read = await reader.read(); !read.done; read = await reader.read()) {
      const messages = (waiting + read.value).split("\n\n");
      waiting = messages.pop();
      for (const message of messages) hear(panel, JSON.parse(message.slice("data: ".length)));
    }
  } catch (error) {
    facts.textContent = error.name === "AbortError" ? "Stopped. The text written so far is charged." : `Interrupted: ${error.message}`;
  }
};

byId("run")?.addEventListener("click", async () => {
  trouble("");
  const models = [...form.querySelectorAll("[name=model]:checked")].map((box) => box.value);
  if (!models.length) { trouble("Pick at least one model."); return; }
  if (models.length > MOST_AT_ONCE) { trouble(`Pick at most ${MOST_AT_ONCE} models.`); return; }
  byId("answers").replaceChildren();
  running = new AbortController();
  byId("run").disabled = true;
  byId("stop").hidden = false;
  const asked = question();
  await Promise.all(models.map((model) => runOne(model, asked, running.signal)));
  byId("run").disabled = false;
  byId("stop").hidden = true;
});
byId("stop")?.addEventListener("click", () => running?.abort());
