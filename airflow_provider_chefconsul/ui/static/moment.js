// Times for people. Text that is not a time is shown unchanged.

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const MINUTE = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const DAY = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });

export function clock(text) {
  return written(text, CLOCK);
}

function written(text, format) {
  const moment = new Date(text);
  if (Number.isNaN(moment.getTime())) return text;
  const time = format.format(moment);
  return moment.toDateString() === new Date().toDateString() ? time : `${DAY.format(moment)}, ${time}`;
}

export function span(milliseconds) {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} days`;
}

export function age(text) {
  const passed = span(Date.now() - Date.parse(text));
  return Number.isNaN(Date.parse(text)) ? text : `${passed} ago`;
}

export function ended(text) {
  return Number.isNaN(Date.parse(text)) ? text : `${age(text)}, at ${written(text, MINUTE)}`;
}

// For a person who comes to look: how long it has been so, and since when by the clock on the wall.
export function lasting(text) {
  const since = `since ${written(text, MINUTE)}`;
  return Number.isNaN(Date.parse(text)) ? since : `for ${span(Date.now() - Date.parse(text))}, ${since}`;
}
