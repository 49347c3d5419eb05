// Where things stand on the calendar grid. Pure: minutes and indices in, minutes and fractions out, no dates and no pixels kept.

export interface Span {
  id: string;
  /** Minutes from local midnight of the day shown; may lie outside it. */
  start: number;
  minutes: number;
}

export interface Placed extends Span {
  /** Which of `lanes` equal parts of the column, from 0. */
  lane: number;
  lanes: number;
}

export const dayMinutes = 24 * 60;

/** Gives overlapping spans lanes beside each other. Spans that only touch share a lane. Equal starts: the longer one first. */
export function packLanes(spans: readonly Span[]): Placed[] {
  const ordered = [...spans].sort((a, b) => a.start - b.start || b.minutes - a.minutes || a.id.localeCompare(b.id));
  const placed: Placed[] = [];
  let cluster: Placed[] = [];
  let clusterEnd = -Infinity;
  const close = () => {
    const lanes = Math.max(0, ...cluster.map((each) => each.lane)) + 1;
    for (const each of cluster) each.lanes = lanes;
    placed.push(...cluster);
    cluster = [];
  };
  for (const span of ordered) {
    if (span.start >= clusterEnd) close();
    const busy = new Set(cluster.filter((each) => each.start + each.minutes > span.start).map((each) => each.lane));
    let lane = 0;
    while (busy.has(lane)) lane += 1;
    cluster.push({ ...span, lane, lanes: 1 });
    clusterEnd = Math.max(cluster.length === 1 ? -Infinity : clusterEnd, span.start + span.minutes);
  }
  close();
  return placed;
}

/** The part of a span inside `[from, to)`, or null. */
export function clip(span: Span, from: number, to: number): Span | null {
  const start = Math.max(span.start, from);
  const end = Math.min(span.start + span.minutes, to);
  return end > start ? { ...span, start, minutes: end - start } : null;
}

/** Whole hours to show: the working day, widened to what is booked. */
export function visibleHours(spans: readonly Span[], from = 8 * 60, to = 19 * 60): { from: number; to: number } {
  for (const span of spans) {
    from = Math.min(from, Math.floor(span.start / 60) * 60);
    to = Math.max(to, Math.ceil((span.start + span.minutes) / 60) * 60);
  }
  return { from: Math.max(0, from), to: Math.min(dayMinutes, to) };
}

/** The minute under a height in pixels, rounded to `snap` and kept inside the hours shown. */
export function minuteAt(y: number, pixelsPerHour: number, hours: { from: number; to: number }, snap: number): number {
  const minute = hours.from + Math.round((y / pixelsPerHour) * 60 / snap) * snap;
  return Math.min(Math.max(minute, hours.from), hours.to - snap);
}

/** The minute of the slot that a height lies in: rounded down, for clicks. */
export function slotAt(y: number, pixelsPerHour: number, hours: { from: number; to: number }, snap: number): number {
  const minute = hours.from + Math.floor((y / pixelsPerHour) * 60 / snap) * snap;
  return Math.min(Math.max(minute, hours.from), hours.to - snap);
}

/** Which of equally wide columns lies under `x`. */
export function columnAt(x: number, width: number, columns: number): number {
  return Math.min(Math.max(Math.floor((x / width) * columns), 0), columns - 1);
}

/** A move by keys: minutes, columns and length. A start before midnight, a column that is not there or no length gives null. */
export function shift(
  span: { start: number; minutes: number; column: number },
  by: { minutes?: number; columns?: number; length?: number },
  columns: number,
): { start: number; minutes: number; column: number } | null {
  const next = {
    start: span.start + (by.minutes ?? 0),
    minutes: span.minutes + (by.length ?? 0),
    column: span.column + (by.columns ?? 0),
  };
  const fits = next.start >= 0 && next.start < dayMinutes && next.minutes > 0 && next.column >= 0 && next.column < columns;
  return fits ? next : null;
}

/** The end of the free time that begins at `minute`, or null when it is taken. */
export function freeUntil(spans: readonly Span[], minute: number, end: number): number | null {
  let until = end;
  for (const span of spans) {
    if (span.start <= minute && minute < span.start + span.minutes) return null;
    if (span.start > minute) until = Math.min(until, span.start);
  }
  return until;
}
