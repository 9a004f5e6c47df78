/* The command palette: Ctrl K or Cmd K opens a search over pages, tables and what the server finds. */
const WAIT = 150;
const MOST_PAGES = 8;
const dialog = document.getElementById("palette");
const input = dialog.querySelector("input");
const list = document.getElementById("palette-list");
const status = dialog.querySelector("[role=status]");
const opener = document.getElementById("open-palette");
let picked = 0;
let asked = 0;
let waiting = 0;

/* Pages and tables are the links of the navigation, so the palette offers what the user may open. */
const pages = () => {
  const links = [...document.querySelectorAll("#navigation a")];
  const goes = links.map((link) => ({
    text: link.textContent.trim(), url: link.href,
    note: link.closest("details")?.dataset.group ?? "",
  }));
  const adds = links.filter((link) => link.dataset.add).map((link) => ({
    text: `Add ${link.dataset.noun}`, url: link.dataset.add, note: link.textContent.trim(),
  }));
  return [...goes, ...adds];
};

/* Every word occurs; texts that begin with the query come first. */
const matching = (query) => {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  const fits = pages().filter(({ text, note }) => words.every((word) => `${text} ${note}`.toLowerCase().includes(word)));
  const rank = ({ text }) => (text.toLowerCase().startsWith(words[0] ?? "") ? 0 : 1);
  return fits.sort((one, other) => rank(one) - rank(other)).slice(0, query ? MOST_PAGES : 100);
};

const options = () => [...list.querySelectorAll("[role=option]")];

const pick = (n) => {
  const all = options();
  picked = all.length ? (n + all.length) % all.length : 0;
  all.forEach((option, at) => option.setAttribute("aria-selected", String(at === picked)));
  const option = all[picked];
  if (!option) { input.removeAttribute("aria-activedescendant"); return; }
  input.setAttribute("aria-activedescendant", option.id);
  option.scrollIntoView({ block: "nearest" });
};

const groupOf = (name, items, start) => {
  const group = document.createElement("div");
  group.setAttribute("role", "group");
  group.setAttribute("aria-label", name);
  const heading = document.createElement("div");
  heading.className = "heading";
  heading.setAttribute("aria-hidden", "true");
  heading.textContent = name;
  group.append(heading);
  items.forEach((item, n) => {
    const link = document.createElement("a");
    link.id = `palette-${start + n}`;
    link.href = item.url;
    link.tabIndex = -1;
    link.setAttribute("role", "option");
    link.append(Object.assign(document.createElement("span"), { textContent: item.text }));
    if (item.note) link.append(Object.assign(document.createElement("small"), { textContent: item.note }));
    group.append(link);
  });
  return group;
};

const show = (groups, keep) => {
  const before = keep ? options()[picked]?.href : null;
  let start = 0;
  list.replaceChildren(...groups.filter(({ items }) => items.length).map(({ name, items }) => {
    const made = groupOf(name, items, start);
    start += items.length;
    return made;
  }));
  pick(Math.max(0, options().findIndex((option) => option.href === before)));
  status.textContent = start ? `${start} result${start === 1 ? "" : "s"}` : "Nothing matches.";
};

const search = async (query, local) => {
  const number = ++asked;
  status.textContent = "Searching …";
  try {
    const response = await fetch(`${dialog.dataset.search}?q=${encodeURIComponent(query)}`);
    if (!response.ok || response.redirected) throw new Error(`status ${response.status}`);
    const { groups } = await response.json();
    if (number === asked) show([local, ...groups], true);
  } catch (error) {
    if (number === asked) status.textContent = `The search failed: ${error.message}.`;
  }
};

const update = () => {
  clearTimeout(waiting);
  const query = input.value.trim();
  const local = { name: "Pages and tables", items: matching(query) };
  asked += 1;
  show([local], false);
  if (query.length >= 2) waiting = setTimeout(() => search(query, local), WAIT);
};

const open = () => {
  if (dialog.open) return;
  dialog.showModal();
  input.value = "";
  update();
  input.focus();
};

input.addEventListener("input", update);
input.addEventListener("keydown", (event) => {
  const last = options().length - 1;
  const moves = { ArrowDown: picked + 1, ArrowUp: picked - 1, PageDown: Math.min(last, picked + 8), PageUp: Math.max(0, picked - 8) };
  if (event.key in moves) {
    event.preventDefault();
    pick(moves[event.key]);
  } else if (event.key === "Enter") {
    event.preventDefault();
    const option = options()[picked];
    if (!option) return;
    if (event.ctrlKey || event.metaKey) window.open(option.href, "_blank", "noopener"); else location.assign(option.href);
  }
});
// A click beside the dialog closes it.
dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
document.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && !event.altKey && event.key.toLowerCase() === "k") {
    event.preventDefault();
    if (dialog.open) dialog.close(); else open();
  }
});
opener.addEventListener("click", open);
opener.hidden = false;
if (/Mac|iP(hone|ad)/.test(navigator.platform)) opener.querySelector("kbd").textContent = "⌘ K";
