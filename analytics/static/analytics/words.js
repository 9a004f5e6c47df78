/* Formats figures as text, in the same way as the server. */

/** USD with two decimals, or with six for amounts below one dollar. */
export const dollars = (amount) => {
  if (amount === null) return "unknown";
  const value = Number(amount);
  if (value === 0) return "$0.00";
  const size = Math.abs(value);
  const digits = size >= 1 ? 2 : 6;
  const text = size.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  return `${value < 0 ? "-" : ""}$${text}`;
};

/** USD for the labels of an axis, without trailing zeros. */
export const shortDollars = (value) => {
  const text = Math.abs(value).toLocaleString("en-US", { maximumSignificantDigits: 3 });
  return `${value < 0 ? "-" : ""}$${text}`;
};

/** A number with its noun: "1 request", "2,000 requests". */
export const counted = (number, noun) => `${number.toLocaleString("en-US")} ${noun}${number === 1 ? "" : "s"}`;

const UNITS = {
  usd: dollars,
  count: (value) => value.toLocaleString("en-US"),
  percent: (value) => `${value.toFixed(1)} %`,
  ms: (value) => `${Math.round(value).toLocaleString("en-US")} ms`,
  score: (value) => value.toFixed(3),
};

/** A value with its unit; an unknown value is a dash. */
export const words = (unit, value) => (value === null ? "–" : UNITS[unit](Number(value)));

/** " (low to high)" where step `n` of a series has an interval, else an empty text. */
export const bounds = (unit, series, n) =>
  series.low.length && series.low[n] !== null ? ` (${words(unit, series.low[n])} to ${words(unit, series.high[n])})` : "";
