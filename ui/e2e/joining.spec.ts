import type { Enrolment } from "../src/lib/backend/types";
import type { Page } from "@playwright/test";
import { mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { ask, expect, go, serve, violations } from "./clinic";
import { test } from "./published";

const looks = [
  ["ko", "dark"],
  ["ko", "light"],
  ["en", "dark"],
  ["en", "light"],
] as const;

/** Shows what is on the page in both languages and both themes, to axe and, when pictures are wanted, to a person. */
async function look(page: Page, bridge: string, name: string, again: () => Promise<void>) {
  for (const [language, scheme] of looks) {
    await ask(page, bridge, "set_preferences", { theme: "system", language, density: "comfortable" });
    await page.emulateMedia({ colorScheme: scheme, reducedMotion: "reduce" });
    await page.reload();
    await expect(page.locator("html")).toHaveAttribute("data-theme", scheme);
    await expect(page.locator("html")).toHaveAttribute("lang", language);
    await again();
    if (process.env.CASELOAD_PICTURES) await page.screenshot({ path: `${process.env.CASELOAD_PICTURES}/${name}-${language}-${scheme}.png` });
    expect.soft(await violations(page), `${name}, ${language}, ${scheme}`).toEqual([]);
  }
}

test("an administrator is enrolled, joins on a computer of her own, writes her recovery code down, and the computer is taken out", async ({ signIn, bridge, profile, context }) => {
  test.setTimeout(300_000);
  const page = await signIn("owner");
  const mint = async () => {
    await go(page, "/settings/computers");
    await page.getByTestId("enrol-kind").selectOption("person");
    await page.getByTestId("enrol-role").selectOption("admin");
    await page.getByTestId("enrol-full-name").fill("Mira Han");
    await page.getByTestId("enrol-mint").click();
    await expect(page.getByTestId("enrolment-code")).not.toHaveValue("");
  };
  await look(page, bridge, "enrol-admin", mint);
  const { code } = await ask<Enrolment>(page, bridge, "mint_enrolment", { kind: "person", role: "admin", fullName: "Mira Han" });

  const folder = join(dirname(profile), "hers");
  mkdirSync(folder);
  const hers = await serve(join(folder, "profile"));
  try {
    const other = await context.newPage();
    await other.goto(`/index.html?bridge=${encodeURIComponent(hers.address)}`);
    await look(other, hers.address, "join", async () => {
      await go(other, "/join");
      await expect(other.getByTestId("screen-join")).toBeVisible();
    });
    await other.getByTestId("join-code").fill(code);
    await other.getByTestId("join-passphrase").fill("copper window winter nine");
    await other.getByTestId("join-passphrase-again").fill("copper window winter nine");
    await other.getByTestId("join-submit").click();
    await expect(other.getByTestId("screen-recovery")).toBeVisible();
    await look(other, hers.address, "recovery", () => expect(other.getByTestId("recovery-groups")).toBeVisible());
    await look(other, hers.address, "recovery-type", () => other.getByTestId("recovery-continue").click());

    await page.bringToFront();
    const row = page.getByTestId("computer").filter({ hasText: "Mira Han" });
    await look(page, bridge, "computers", async () => {
      await ask(page, bridge, "share_now");
      await go(page, "/settings/computers");
      await expect(row).toHaveCount(1);
      await expect(page.getByTestId("computer").filter({ has: page.locator(".chip") }).getByTestId("computer-revoke"), "nobody takes out her own").toHaveCount(0);
      await row.getByTestId("computer-revoke").focus();
      await page.keyboard.press("Enter");
      await expect(page.getByTestId("computer-revoke-cancel"), "Enter once more takes nothing out").toBeFocused();
    });
    await page.keyboard.press("Escape");
    await expect(page.getByTestId("computer-revoke-dialog")).toHaveCount(0);
    await expect(row.getByTestId("computer-revoke")).toBeFocused();
    expect(await violations(page)).toEqual([]);
    await row.getByTestId("computer-revoke").click();
    await page.getByTestId("computer-revoke-confirm").click();
    await expect(row).toHaveAttribute("data-revoked", "true");
    await expect(row.getByTestId("computer-revoke")).toHaveCount(0);
    await expect(page.locator("#computers")).toBeFocused();
    if (process.env.CASELOAD_PICTURES) await page.screenshot({ path: `${process.env.CASELOAD_PICTURES}/computers-after.png` });
    expect(await violations(page)).toEqual([]);
    const refused = await other.request.post(`${hers.address}/command/share_now`, { data: {} });
    expect(await refused.json()).toMatchObject({ code: "device_revoked" });
  } finally {
    await hers.stop();
  }
});
