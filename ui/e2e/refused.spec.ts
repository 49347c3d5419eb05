import type { SyncOverview } from "../src/lib/backend/types";
import { ask, expect, go, violations } from "./clinic";
import { test, type Caseload } from "./published";

let lost = "";

/** A client whom the restored service does not have, */
function add(caseload: Caseload) {
  lost = caseload<{ client: { id: string } }>("clients", "add", "--family", "Ellis", "--given", "Nora", "--force").client.id;
}

/** and a change of hers that it never saw. */
function change(caseload: Caseload) {
  caseload("clients", "set", lost, "--phone", "010-5555-0177");
}

test.use({ lose: { work: add, unshared: change } });

test("a change that was not accepted is kept until somebody throws it away, and not by one key", async ({ signIn, bridge }) => {
  test.setTimeout(300_000);
  const page = await signIn("owner");
  await go(page, "/sync");
  const offered = page.locator(`[data-testid=reoffer][data-entity=client]`);
  await expect(offered).toHaveCount(1);
  await offered.getByTestId("reoffer-decline").click();
  await expect(offered).toHaveCount(0);
  await expect(async () => {
    const overview = await ask<SyncOverview>(page, bridge, "share_now");
    expect(overview.refused).toHaveLength(1);
  }).toPass({ timeout: 60_000 });

  const refused = page.getByTestId("refused");
  for (const [language, scheme] of [
    ["ko", "dark"],
    ["en", "light"],
  ] as const) {
    await ask(page, bridge, "set_preferences", { theme: "system", language, density: "comfortable" });
    await page.emulateMedia({ colorScheme: scheme, reducedMotion: "reduce" });
    await page.reload();
    await expect(page.locator("html")).toHaveAttribute("data-theme", scheme);
    await expect(page.locator("html")).toHaveAttribute("lang", language);
    await go(page, "/sync");
    await refused.getByTestId("refused-discard").click();
    await expect(refused.getByTestId("refused-discard-confirm")).toBeVisible();
    await refused.scrollIntoViewIfNeeded();
    if (process.env.CASELOAD_PICTURES) await page.screenshot({ path: `${process.env.CASELOAD_PICTURES}/refused-${language}-${scheme}.png` });
    expect.soft(await violations(page), `${language}, ${scheme}`).toEqual([]);
    await refused.getByTestId("refused-discard-cancel").click();
  }

  await refused.getByTestId("refused-discard").focus();
  await page.keyboard.press("Enter");
  await expect(refused.getByTestId("refused-discard-cancel"), "Enter once more throws nothing away").toBeFocused();
  await page.keyboard.press("Escape");
  await expect(refused.getByTestId("refused-discard")).toBeFocused();
  await refused.getByTestId("refused-discard").click();
  await refused.getByTestId("refused-discard-confirm").click();
  await expect(refused).toHaveCount(0);
  await expect(page.getByRole("heading", { level: 1 })).toBeFocused();
  const overview = await ask<SyncOverview>(page, bridge, "share_now");
  expect(overview.refused).toEqual([]);
});
