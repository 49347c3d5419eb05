import type { Locator, Page } from "@playwright/test";
import type { Calendar, CalendarItem } from "../src/lib/backend/types";
import { ask, expect, go, test } from "./clinic";

interface Found {
  item: CalendarItem;
  column: number;
  data: Calendar;
}

/** The first day from tomorrow on which the owner has an appointment that may still be moved. */
async function somethingToMove(page: Page, bridge: string): Promise<Found> {
  const from = new Date(Date.now() + 86_400_000).toISOString().slice(0, 10);
  const week = await ask<Calendar>(page, bridge, "calendar", { from, days: 14, therapistIds: [] });
  for (const [column, each] of week.columns.entries()) {
    const item = each.items.find((one) => one.status === "scheduled" || one.status === "confirmed");
    if (item) return { item, column, data: week };
  }
  throw new Error("the demonstration has appointments in the next two weeks");
}

const event = (page: Page, id: string) => page.locator(`[data-testid=event][data-id="${id}"]`);

async function grab(page: Page, card: Locator): Promise<{ x: number; y: number; hour: number }> {
  await card.scrollIntoViewIfNeeded();
  const box = await card.boundingBox();
  if (!box) throw new Error("the appointment is in sight");
  const hour = await card.evaluate((each) => parseFloat(getComputedStyle(each).getPropertyValue("--hour-height")));
  const at = { x: box.x + box.width / 2, y: box.y + 10 };
  await page.mouse.move(at.x, at.y);
  await page.mouse.down();
  return { ...at, hour };
}

/** The first hour of the grid, in which the demonstration has nothing. */
const quietHour = 8;

test("an appointment is dragged to an hour that is free, in steps of a quarter of an hour, and undone", async ({ signIn, bridge }) => {
  const page = await signIn("desk");
  const { item } = await somethingToMove(page, bridge);
  await go(page, `/calendar/day?date=${item.date}`);
  const card = event(page, item.id);
  const { x, y, hour } = await grab(page, card);
  const minutes = item.startMinute - quietHour * 60;
  // Eighteen minutes past the hour land on the quarter.
  await page.mouse.move(x, y - ((minutes - 18) / 60) * hour, { steps: 12 });
  await page.mouse.up();
  await expect(card).toHaveAttribute("data-start", "08:15");
  await page.getByTestId("undo").click();
  await expect(card).toHaveAttribute("data-start", item.startTime);
});

test("Escape leaves an appointment that is being dragged where it was", async ({ signIn, bridge }) => {
  const page = await signIn("desk");
  const { item } = await somethingToMove(page, bridge);
  await go(page, `/calendar/day?date=${item.date}`);
  const card = event(page, item.id);
  const { x, y } = await grab(page, card);
  await page.mouse.move(x, y + 100, { steps: 5 });
  await page.keyboard.press("Escape");
  await page.mouse.up();
  await expect(card).toHaveAttribute("data-start", item.startTime);
  await expect(page.getByTestId("undo")).toHaveCount(0);
});

test("an appointment is dragged to another therapist", async ({ signIn, bridge }) => {
  const page = await signIn("desk");
  const { item, column, data } = await somethingToMove(page, bridge);
  const other = column === 0 ? 1 : 0;
  expect(data.columns.length).toBeGreaterThan(1);
  await go(page, `/calendar/day?date=${item.date}`);
  const card = event(page, item.id);
  const { y, hour } = await grab(page, card);
  const target = await page.getByTestId(`calendar-column-${other}`).boundingBox();
  if (!target) throw new Error("there is a column for each therapist");
  await page.mouse.move(target.x + target.width / 2, y - ((item.startMinute - quietHour * 60) / 60) * hour, { steps: 12 });
  await page.mouse.up();
  await expect(page.getByTestId(`calendar-column-${other}`).locator(`[data-id="${item.id}"]`)).toHaveAttribute("data-start", "08:00");
  const moved = await ask<{ item: CalendarItem }>(page, bridge, "appointment", { id: item.id });
  expect(moved.item.therapistId).toBe(data.columns[other]?.therapistId);
});

test("the slot cursor books by keys alone", async ({ signIn }) => {
  const page = await signIn("desk");
  await go(page, "/calendar/day");
  await page.getByTestId("slot-cursor").focus();
  for (const key of ["ArrowUp", "ArrowUp", "ArrowUp", "ArrowUp"]) await page.keyboard.press(key);
  await page.keyboard.press("Enter");
  await expect(page.getByTestId("book-time")).toHaveValue("08:00");
});
