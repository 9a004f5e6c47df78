/* The chart of what a person or a key spent by day and model; the page has its data. */
import { draw, onTheme } from "./drawing.js";

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const short = (day) => `${MONTHS[Number(day.slice(5, 7)) - 1]} ${Number(day.slice(8))}`;

const drawAll = () => {
  for (const figure of document.querySelectorAll(".chart.spend")) {
    const { chart, labels } = JSON.parse(figure.querySelector("script").textContent);
    draw(figure.querySelector("canvas"), chart, labels.map(short), labels);
  }
};
drawAll();
onTheme(drawAll);
