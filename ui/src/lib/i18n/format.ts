// How dates, times and names are written. Local dates and times come ready-made from Rust; nothing here converts zones.
import { parseDate } from "@internationalized/date";

export type DateStyle = "full" | "medium" | "short" | "weekday" | "day" | "monthYear";

const dateOptions: Record<DateStyle, Intl.DateTimeFormatOptions> = {
  full: { weekday: "long", year: "numeric", month: "long", day: "numeric" },
  medium: { year: "numeric", month: "short", day: "numeric" },
  short: { weekday: "short", month: "short", day: "numeric" },
  weekday: { weekday: "short" },
  day: { day: "numeric" },
  monthYear: { year: "numeric", month: "long" },
};

const cache = new Map<string, Intl.DateTimeFormat>();

function formatter(locale: string, key: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const id = `${locale} ${key}`;
  let found = cache.get(id);
  if (!found) cache.set(id, (found = new Intl.DateTimeFormat(locale, options)));
  return found;
}

/** A local date such as `2026-11-21`. What is no date is given back as it is. */
export function formatDate(locale: string, date: string, style: DateStyle = "medium"): string {
  const noon = Date.parse(`${date}T12:00:00Z`);
  if (Number.isNaN(noon)) return date;
  return formatter(locale, style, { ...dateOptions[style], timeZone: "UTC" }).format(noon);
}

/** A moment, in the zone of this computer. */
export function formatInstant(locale: string, instant: number): string {
  return formatter(locale, "instant", {
    year: "numeric",
    month: "short",
    day: "numeric",
    hour: "2-digit",
    minute: "2-digit",
    hourCycle: "h23",
  }).format(instant);
}

/** Only the time of day of a moment, in the zone of this computer. */
export function formatClock(locale: string, instant: number): string {
  return formatter(locale, "clock", { hour: "2-digit", minute: "2-digit", hourCycle: "h23" }).format(instant);
}

/** A local minute such as `2026-11-21 10:00`, with the day in words. */
export function formatMinute(locale: string, minute: string): string {
  const [date = "", time = ""] = minute.split(" ", 2);
  return `${formatDate(locale, date, "short")} ${time}`.trim();
}

/** `10:00–10:50`; the same in both languages, with no AM and PM to repeat. */
export function formatRange(start: string, end: string): string {
  return `${start}–${end}`;
}

/** Minutes from midnight as `HH:MM`; past midnight it goes on counting on the next day's clock. */
export function minuteToTime(minute: number): string {
  const within = ((Math.round(minute) % 1440) + 1440) % 1440;
  return `${String(Math.floor(within / 60)).padStart(2, "0")}:${String(within % 60).padStart(2, "0")}`;
}

/** `9`, `930`, `9:30`, `14.05`, `2pm`, `2:30 p` as `HH:MM`; null when it cannot be read as a time. */
export function parseTime(text: string): string | null {
  const found = /^\s*(?:(오전|오후)\s*)?(\d{1,2})(?:[:.시h]?\s*(\d{2})분?|시)?\s*([ap])?\.?m?\.?\s*$/i.exec(text);
  if (!found) return null;
  let hour = Number(found[2]);
  const minute = Number(found[3] ?? 0);
  const half = found[1] === "오후" || found[4]?.toLowerCase() === "p" ? "p" : found[1] === "오전" || found[4] ? "a" : null;
  if (half && (hour < 1 || hour > 12)) return null;
  if (half === "p" && hour < 12) hour += 12;
  if (half === "a" && hour === 12) hour = 0;
  return hour > 23 || minute > 59 ? null : minuteToTime(hour * 60 + minute);
}

/** `2026-11-21`, `2026. 11. 21`, `20261121` as a local date; null when there is no such day. */
export function parseLocalDate(text: string): string | null {
  const found = /^\s*(\d{4})[-./\s]*(\d{1,2})[-./\s]*(\d{1,2})\.?\s*$/.exec(text);
  if (!found) return null;
  const date = `${found[1]}-${found[2]?.padStart(2, "0")}-${found[3]?.padStart(2, "0")}`;
  try {
    return parseDate(date).toString();
  } catch {
    return null;
  }
}

/** Moves a local date by days. */
export function addDays(date: string, days: number): string {
  return parseDate(date).add({ days }).toString();
}

/** The Monday of a date's week. */
export function mondayOf(date: string): string {
  const weekday = new Date(`${date}T12:00:00Z`).getUTCDay();
  return addDays(date, -((weekday + 6) % 7));
}

/** The computer's present local date, before Rust has said the practice's. */
export function dateOfThisComputer(): string {
  const now = new Date();
  return [now.getFullYear(), String(now.getMonth() + 1).padStart(2, "0"), String(now.getDate()).padStart(2, "0")].join("-");
}
