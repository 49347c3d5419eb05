import type { ClientList, NoteSummary, SyncOverview } from "../src/lib/backend/types";
import type { Page } from "@playwright/test";
import { ask, expect, go, violations } from "./clinic";
import { test, type Caseload } from "./published";

const phone = "010-5555-0100";

/** A new client with her care and a booking, and another number and a draft of one who stays are lost. */
function aMorning(caseload: Caseload) {
  const known = caseload<NoteSummary[]>("notes", "list")[0]?.clientId ?? "";
  caseload("clients", "set", known, "--phone", phone);
  caseload("notes", "new", known, "--section", "plan=Walk to the river twice a week");
  const { client } = caseload<{ client: { id: string } }>("clients", "add", "--family", "Ellis", "--given", "Nora", "--force");
  caseload("appointments", "book", client.id, "--date", "2031-05-12", "--time", "11:00");
}

test.use({ lose: { work: aMorning } });

async function look(page: Page, bridge: string, language: "en" | "ko", scheme: "light" | "dark", name: string) {
  await ask(page, bridge, "set_preferences", { theme: "system", language, density: "comfortable" });
  await page.emulateMedia({ colorScheme: scheme, reducedMotion: "reduce" });
  await page.reload();
  await expect(page.locator("html")).toHaveAttribute("data-theme", scheme);
  await expect(page.locator("html")).toHaveAttribute("lang", language);
  await go(page, "/sync");
  await expect(page.getByTestId("reoffers")).toBeVisible();
  if (process.env.CASELOAD_PICTURES) {
    await page.setViewportSize({ width: 1280, height: 2000 });
    await page.screenshot({ path: `${process.env.CASELOAD_PICTURES}/${name}-${language}-${scheme}.png` });
    await page.setViewportSize({ width: 1280, height: 840 });
  }
  expect.soft(await violations(page), `${language}, ${scheme}`).toEqual([]);
}

test("what a restored service lost is read beside what is there and settled by keys", async ({ signIn, bridge }) => {
  test.setTimeout(300_000);
  const page = await signIn("owner");
  await expect(page.getByTestId("attention-offered_back")).toHaveCount(1);
  for (const [language, scheme] of [
    ["ko", "dark"],
    ["ko", "light"],
    ["en", "dark"],
    ["en", "light"],
  ] as const) {
    await look(page, bridge, language, scheme, "offered");
  }
  const section = page.getByTestId("reoffers");
  const before = Number(await section.getAttribute("data-count"));
  expect(before, "two clients, care, a booking, a draft").toBe(5);
  await expect(page.getByTestId("sync-chip")).toContainText(`${before} to review`);

  const changed = page.getByTestId("reoffer").filter({ has: page.locator("dd", { hasText: phone }) });
  await expect(changed).toHaveCount(1);
  await expect(changed.getByTestId("reoffer-offered").locator("[data-part=phone]")).toHaveText(phone);
  await expect(changed.getByTestId("reoffer-here").locator("[data-part=phone]")).not.toHaveText(phone);
  await expect(changed.locator("[data-part]"), "what is the same is not shown").toHaveCount(2);

  // Somebody else settles the card that has the focus: the one in its place takes it, as if the keys had settled it.
  const shown = page.getByTestId("reoffer");
  const ids = await shown.evaluateAll((all) => all.map((each) => each.getAttribute("data-id") ?? ""));
  const changedAt = ids.indexOf((await changed.getAttribute("data-id")) ?? "");
  const at = changedAt === 0 ? 1 : 0;
  await shown.nth(at).focus();
  await ask(page, bridge, "settle_reoffer", { id: ids[at], accept: true });
  await expect(shown).toHaveCount(before - 1);
  await expect(shown.nth(at)).toHaveAttribute("data-id", ids[at + 1] ?? "");
  await expect(shown.nth(at)).toBeFocused();

  // What is there no more replaces nothing, so it comes back at once; the changed number waits for a decision.
  await page.getByTestId("reoffers-accept-missing").click();
  await expect(page.getByTestId("reoffer")).toHaveCount(1);
  await changed.focus();
  await page.keyboard.press("2");
  await expect(section).toHaveCount(0);
  await expect(page.getByRole("heading", { level: 1 })).toBeFocused();

  await page.getByTestId("share-now").click();
  await expect(async () => {
    const overview = await ask<SyncOverview>(page, bridge, "share_now");
    expect(overview).toMatchObject({ reoffers: 0, conflicts: 0, refused: [] });
    expect(overview.replicas.find((replica) => replica.kind === "office")?.waiting).toBe(0);
    const { rows } = await ask<ClientList>(page, bridge, "search_clients", { query: "Ellis", limit: 10 });
    expect(rows.map((row) => row.displayName)).toContain("Nora Ellis");
  }).toPass({ timeout: 60_000 });
  await expect(page.getByTestId("reoffers")).toHaveCount(0);
});

test("the desk sees that something waits for an administrator and can do nothing about it", async ({ signIn }) => {
  const page = await signIn("desk");
  await expect(page.getByTestId("attention-offered_back")).toHaveCount(0);
  await go(page, "/sync");
  await expect(page.getByTestId("reoffers")).toBeVisible();
  await expect(page.getByTestId("reoffer-accept")).toHaveCount(0);
  await expect(page.getByTestId("reoffers-accept-missing")).toHaveCount(0);
  const card = page.getByTestId("reoffer").first();
  await card.focus();
  await page.keyboard.press("2");
  await expect(card).toBeVisible();
  expect(await violations(page)).toEqual([]);
});
