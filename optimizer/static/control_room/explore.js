/* The page Explore: draws its chart, whose figures are in the page. */
import { draw, onTheme } from "../analytics/drawing.js";
import { fillTable } from "./figures.js";
import { STEPS, longName, shortName } from "./steps.js";

const data = document.getElementById("explored");
const figure = data?.closest("figure");

const show = () => {
  const { chart, labels, step } = JSON.parse(data.textContent);
  const titles = labels.map((at) => longName(step, at));
  draw(figure.querySelector("canvas"), chart, labels.map((at) => shortName(step, at)), titles);
  fillTable(figure.querySelector("table"), chart, STEPS[step], titles);
};

if (figure) {
  show();
  onTheme(show);
}
