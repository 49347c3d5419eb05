import { describe, expect, it } from "vitest";
import { addDays, formatDate, formatMinute, minuteToTime, mondayOf, parseLocalDate, parseTime } from "./format";

it.each([
  ["9", "09:00"],
  ["930", "09:30"],
  ["9:30", "09:30"],
  ["14.05", "14:05"],
  ["2pm", "14:00"],
  ["2:30 p", "14:30"],
  ["12am", "00:00"],
  ["오후 2시", "14:00"],
  ["14시 30분", "14:30"],
  ["0905", "09:05"],
  ["24:00", null],
  ["13pm", null],
  ["9:60", null],
  ["soon", null],
  ["", null],
])("the time %j is read as %j", (typed, expected) => expect(parseTime(typed)).toBe(expected));

it.each([
  ["2026-11-21", "2026-11-21"],
  ["2026. 1. 5", "2026-01-05"],
  ["20261121", "2026-11-21"],
  ["2026-02-29", null],
  ["2028-02-29", "2028-02-29"],
  ["21/11/2026", null],
  ["2026-13-01", null],
])("the date %j is read as %j", (typed, expected) => expect(parseLocalDate(typed)).toBe(expected));

describe("dates", () => {
  it("are written in both languages without moving to another day", () => {
    expect(formatDate("en", "2026-11-21", "full")).toBe("Saturday, November 21, 2026");
    expect(formatDate("ko", "2026-11-21", "full")).toBe("2026년 11월 21일 토요일");
    expect(formatDate("en", "not a date")).toBe("not a date");
  });

  it("are written with a time of day", () => {
    expect(formatMinute("en", "2026-11-21 10:00")).toBe("Sat, Nov 21 10:00");
    expect(formatMinute("ko", "2026-11-21 10:00")).toBe("11월 21일 (토) 10:00");
  });

  it("move by days across months and find their Monday", () => {
    expect(addDays("2026-02-28", 1)).toBe("2026-03-01");
    expect(mondayOf("2026-11-22")).toBe("2026-11-16");
    expect(mondayOf("2026-11-23")).toBe("2026-11-23");
  });

  it("count minutes past midnight on the next day's clock", () => {
    expect([0, 605, 1440, 1470].map(minuteToTime)).toEqual(["00:00", "10:05", "00:00", "00:30"]);
  });
});
