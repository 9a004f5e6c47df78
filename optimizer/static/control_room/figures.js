/* Shows a chart's figures as a table, and builds table cells. */
import { bounds, words } from "../analytics/words.js";

/** Whether the focus is inside the element; replacing its content would lose the focus. */
export const isRead = (there) => there.contains(document.activeElement);

export const cell = (row, tag, text, href) => {
  const made = document.createElement(tag);
  if (tag === "th") made.scope = row.rowIndex === 0 ? "col" : "row";
  const link = href ? document.createElement("a") : made;
  link.textContent = text;
  if (href) {
    link.href = href;
    made.append(link);
  }
  row.append(made);
};

/** Fills a table with the exact figures of a chart, also for users who cannot see the chart. */
export const fillTable = (table, chart, step, titles) => {
  if (isRead(table)) return;
  table.replaceChildren();
  const caption = table.createCaption();
  caption.className = "visually-hidden";
  caption.textContent = chart.title;
  const head = table.createTHead().insertRow();
  cell(head, "th", step);
  for (const series of chart.series) cell(head, "th", series.name);
  const body = table.createTBody();
  titles.forEach((title, n) => {
    const row = body.insertRow();
    cell(row, "th", title, chart.rows[n]);
    for (const series of chart.series) {
      cell(row, "td", words(chart.unit, series.values[n]) + bounds(chart.unit, series, n));
    }
  });
};
