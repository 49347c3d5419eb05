import type { ClientList, ClientRecord } from "../src/lib/backend/types";
import type { Page } from "@playwright/test";
import { ask, expect, go, violations } from "./clinic";
import { test } from "./published";

/** A client whom the person signed in treats and nobody else. */
async function hers(page: Page, bridge: string): Promise<string> {
  const { rows } = await ask<ClientList>(page, bridge, "search_clients", { query: "", limit: 100 });
  for (const { id } of rows) {
    const record = await ask<ClientRecord>(page, bridge, "client", { id });
    if (record.mayReadClinical && record.care.length === 1) return id;
  }
  throw new Error("the demonstration's owner treats somebody alone");
}

test("care ends after it was said what follows, and is given again", async ({ signIn, bridge }) => {
  test.setTimeout(300_000);
  const page = await signIn("owner");
  const client = await hers(page, bridge);
  for (const [language, scheme] of [
    ["ko", "dark"],
    ["en", "light"],
  ] as const) {
    await ask(page, bridge, "set_preferences", { theme: "system", language, density: "comfortable" });
    await page.emulateMedia({ colorScheme: scheme, reducedMotion: "reduce" });
    await page.reload();
    await expect(page.locator("html")).toHaveAttribute("data-theme", scheme);
    await expect(page.locator("html")).toHaveAttribute("lang", language);
    await go(page, `/clients/${client}/people`);
    await page.getByTestId("care-end").focus();
    await page.keyboard.press("Enter");
    await expect(page.getByTestId("care-end-cancel"), "Enter once more ends nothing").toBeFocused();
    if (process.env.CASELOAD_PICTURES) await page.screenshot({ path: `${process.env.CASELOAD_PICTURES}/care-end-${language}-${scheme}.png` });
    expect.soft(await violations(page), `${language}, ${scheme}`).toEqual([]);
    await page.keyboard.press("Escape");
    await expect(page.getByTestId("care-end-dialog")).toHaveCount(0);
    await expect(page.getByTestId("care-end")).toBeFocused();
  }
  const item = page.getByTestId("care-item");
  await expect(item).toHaveAttribute("data-status", "active");
  await page.getByTestId("care-end").click();
  await page.getByTestId("care-end-confirm").click();
  await expect(item).toHaveAttribute("data-status", "ended");
  await expect(page.getByTestId("care-end")).toHaveCount(0);
  await expect(page.getByTestId("tab-notes")).toHaveCount(0);
  await expect(page.locator("#care")).toBeFocused();

  const { care } = await ask<ClientRecord>(page, bridge, "client", { id: client });
  await page.getByTestId("care-therapist").selectOption(care[0]?.therapistId ?? "");
  await page.getByTestId("care-grant").click();
  await expect(item).toHaveAttribute("data-status", "active");
  await expect(page.getByTestId("tab-notes")).toBeVisible();
});
