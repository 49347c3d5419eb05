import { describe, expect, it } from "vitest";
import { clip, columnAt, freeUntil, minuteAt, packLanes, shift, slotAt, visibleHours, type Span } from "./layout";

const span = (id: string, start: number, minutes: number): Span => ({ id, start, minutes });
const lanes = (...spans: Span[]) => Object.fromEntries(packLanes(spans).map((each) => [each.id, `${each.lane}/${each.lanes}`]));

describe("lanes", () => {
  const cases: [string, Span[], Record<string, string>][] = [
    ["nothing gives nothing", [], {}],
    ["spans that only touch share a lane", [span("a", 600, 50), span("b", 650, 50)], { a: "0/1", b: "0/1" }],
    ["overlapping spans stand beside each other", [span("a", 600, 50), span("b", 620, 50)], { a: "0/2", b: "1/2" }],
    [
      "a lane that is free again is used again",
      [span("a", 600, 30), span("b", 610, 90), span("c", 640, 30)],
      { a: "0/2", b: "1/2", c: "0/2" },
    ],
    [
      "a later span of its own is not narrowed by an earlier crowd",
      [span("a", 600, 30), span("b", 600, 30), span("c", 700, 30)],
      { a: "0/2", b: "1/2", c: "0/1" },
    ],
    [
      "a long first span keeps the cluster open",
      [span("a", 600, 120), span("b", 610, 10), span("c", 630, 10), span("d", 700, 30)],
      { a: "0/2", b: "1/2", c: "1/2", d: "1/2" },
    ],
    ["equal starts put the longer one first", [span("a", 600, 10), span("b", 600, 60)], { a: "1/2", b: "0/2" }],
  ];
  it.each(cases)("%s", (_, spans, expected) => expect(lanes(...spans)).toEqual(expected));

  it("never puts two overlapping spans in one lane, for many arrangements", () => {
    let seed = 7;
    const next = (below: number) => (seed = (seed * 1103515245 + 12345) % 2147483648) % below;
    for (let round = 0; round < 300; round += 1) {
      const placed = packLanes(Array.from({ length: 1 + next(12) }, (_, index) => span(`s${index}`, next(600), 5 + next(120))));
      for (const a of placed) {
        expect(a.lane).toBeLessThan(a.lanes);
        for (const b of placed) {
          const overlap = a.id !== b.id && a.start < b.start + b.minutes && b.start < a.start + a.minutes;
          if (overlap) expect(a.lane).not.toBe(b.lane);
        }
      }
    }
  });
});

describe("the grid", () => {
  const hours = { from: 480, to: 1140 };

  it("shows the working day and widens it to whole hours of what is booked", () => {
    expect(visibleHours([])).toEqual(hours);
    expect(visibleHours([span("a", 410, 50), span("b", 1150, 80)])).toEqual({ from: 360, to: 1260 });
    expect(visibleHours([span("a", 1400, 200)]).to).toBe(1440);
  });

  it("clips to the day, and drops what lies outside", () => {
    expect(clip(span("a", -30, 60), 0, 1440)).toEqual(span("a", 0, 30));
    expect(clip(span("a", 1440, 60), 0, 1440)).toBeNull();
  });

  it("finds the minute and the column under the pointer", () => {
    expect(minuteAt(64, 64, hours, 15)).toBe(540);
    expect(minuteAt(71, 64, hours, 15)).toBe(540);
    expect(minuteAt(-500, 64, hours, 15)).toBe(480);
    expect(slotAt(79, 64, hours, 15)).toBe(540);
    expect(slotAt(99_999, 64, hours, 15)).toBe(1125);
    expect(columnAt(299, 300, 3)).toBe(2);
    expect(columnAt(-4, 300, 3)).toBe(0);
    expect(columnAt(400, 300, 3)).toBe(2);
  });

  it("moves by keys and refuses what leaves the grid or has no length", () => {
    const at = { start: 600, minutes: 50, column: 0 };
    expect(shift(at, { minutes: 15 }, 2)).toEqual({ start: 615, minutes: 50, column: 0 });
    expect(shift(at, { columns: 1 }, 2)).toEqual({ start: 600, minutes: 50, column: 1 });
    expect(shift(at, { columns: -1 }, 2)).toBeNull();
    expect(shift(at, { length: -50 }, 2)).toBeNull();
    expect(shift({ ...at, start: 0 }, { minutes: -15 }, 2)).toBeNull();
  });

  it("says until when a slot is free, half-open", () => {
    const booked = [span("a", 600, 50), span("b", 700, 50)];
    expect(freeUntil(booked, 650, 1140)).toBe(700);
    expect(freeUntil(booked, 649, 1140)).toBeNull();
    expect(freeUntil(booked, 750, 1140)).toBe(1140);
  });
});
