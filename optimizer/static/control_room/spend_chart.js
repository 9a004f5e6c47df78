/* The chart of what a person or a key spent by day and model; the page has its data. */
import { draw, onTheme } from "../analytics/drawing.js";
import { longName, shortName } from "./steps.js";

const drawAll = () => {
  for (const figure of document.querySelectorAll(".chart.spend")) {
    const { chart, labels, step } = JSON.parse(figure.querySelector("script").textContent);
    draw(figure.querySelector("canvas"), chart, labels.map((day) => shortName(step, day)), labels.map((day) => longName(step, day)));
  }
};
drawAll();
onTheme(drawAll);
