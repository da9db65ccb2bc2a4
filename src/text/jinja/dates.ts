/**
 * A date as text by a format of C's strftime. Names are English, whatever the system speaks.
 *
 * @module
 */

const MONTHS = "January February March April May June July August September October November December".split(" ");
const DAYS = "Sunday Monday Tuesday Wednesday Thursday Friday Saturday".split(" ");

const two = (value: number) => String(value).padStart(2, "0");
const short = (name: string) => name.slice(0, 3);
const midnight = (date: Date) => new Date(date.getFullYear(), date.getMonth(), date.getDate());
const dayOfYear = (date: Date) =>
  Math.round((midnight(date).getTime() - new Date(date.getFullYear(), 0, 1).getTime()) / 86_400_000);
/** The week of the year, where a week begins on a day. */
const week = (date: Date, first: number) => Math.floor((dayOfYear(date) + 7 - (date.getDay() + 7 - first) % 7) / 7);

/** The Thursday of a date's week, whose year is the week's. */
function thursday(date: Date): Date {
  const day = midnight(date);
  day.setDate(day.getDate() + 4 - (day.getDay() || 7));
  return day;
}

const DIRECTIVES: Readonly<Record<string, (date: Date) => string>> = {
  Y: (date) => String(date.getFullYear()),
  y: (date) => two(date.getFullYear() % 100),
  C: (date) => two(Math.floor(date.getFullYear() / 100)),
  m: (date) => two(date.getMonth() + 1),
  d: (date) => two(date.getDate()),
  e: (date) => String(date.getDate()).padStart(2),
  B: (date) => MONTHS[date.getMonth()],
  b: (date) => short(MONTHS[date.getMonth()]),
  h: (date) => short(MONTHS[date.getMonth()]),
  A: (date) => DAYS[date.getDay()],
  a: (date) => short(DAYS[date.getDay()]),
  u: (date) => String(date.getDay() || 7),
  w: (date) => String(date.getDay()),
  H: (date) => two(date.getHours()),
  k: (date) => String(date.getHours()).padStart(2),
  I: (date) => two(date.getHours() % 12 || 12),
  l: (date) => String(date.getHours() % 12 || 12).padStart(2),
  M: (date) => two(date.getMinutes()),
  S: (date) => two(date.getSeconds()),
  f: (date) => String(date.getMilliseconds() * 1000).padStart(6, "0"),
  p: (date) => date.getHours() < 12 ? "AM" : "PM",
  P: (date) => date.getHours() < 12 ? "am" : "pm",
  j: (date) => String(dayOfYear(date) + 1).padStart(3, "0"),
  U: (date) => two(week(date, 0)),
  W: (date) => two(week(date, 1)),
  G: (date) => String(thursday(date).getFullYear()),
  g: (date) => two(thursday(date).getFullYear() % 100),
  V: (date) => two(Math.floor(dayOfYear(thursday(date)) / 7) + 1),
  s: (date) => String(Math.floor(date.getTime() / 1000)),
  n: () => "\n",
  t: () => "\t",
  z: () => "",
  Z: () => "",
  D: (date) => formatTime(date, "%m/%d/%y"),
  F: (date) => formatTime(date, "%Y-%m-%d"),
  T: (date) => formatTime(date, "%H:%M:%S"),
  R: (date) => formatTime(date, "%H:%M"),
  r: (date) => formatTime(date, "%I:%M:%S %p"),
  c: (date) => formatTime(date, "%a %b %e %H:%M:%S %Y"),
  x: (date) => formatTime(date, "%m/%d/%y"),
  X: (date) => formatTime(date, "%H:%M:%S"),
  "%": () => "%",
};

/** `date` in its local time by a format of C's strftime; directives that C does not know stay. */
export function formatTime(date: Date, format: string): string {
  return format.replace(/%([-_0^#]?)([A-Za-z%])/g, (directive, flag: string, letter: string) => {
    const part = DIRECTIVES[letter]?.(date);
    if (part === undefined) return directive;
    if (flag === "-") return part.replace(/^[0 ]+(?=.)/, "");
    if (flag === "_") return part.replace(/^0+(?=.)/, (zeros) => " ".repeat(zeros.length));
    return flag === "^" ? part.toUpperCase() : part;
  });
}
