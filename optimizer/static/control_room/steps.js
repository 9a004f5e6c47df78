/* The names of a chart's steps: short below the axis, long in headings and tables. */
export const STEPS = { hour: "Hour", day: "Day", week: "Week", month: "Month" };
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

export const shortName = (step, at) => {
  const start = new Date(at);
  const month = MONTHS[start.getUTCMonth()];
  if (step === "hour") return `${String(start.getUTCHours()).padStart(2, "0")}:00`;
  return step === "month" ? `${month} ${start.getUTCFullYear()}` : `${month} ${start.getUTCDate()}`;
};

export const longName = (step, at) => {
  const day = at.slice(0, 10);
  return { hour: `${day} ${at.slice(11, 16)} UTC`, day, week: `Week from ${day}`, month: at.slice(0, 7) }[step];
};
