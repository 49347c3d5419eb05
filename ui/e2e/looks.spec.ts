import { readFileSync } from "node:fs";
import type { ClientList, NoteSummary, Prescription } from "../src/lib/backend/types";
import type { Page } from "@playwright/test";
import { ask, expect, go, test, violations } from "./clinic";

/** Every screen of the demonstration, which is full where the story of the real window is nearly empty. */
async function addresses(page: Page, bridge: string): Promise<string[]> {
  const { rows } = await ask<ClientList>(page, bridge, "search_clients", { query: "", limit: 100 });
  const notes = await ask<NoteSummary[]>(page, bridge, "notes", { clientId: null });
  const client = notes[0]?.clientId ?? rows[0]?.id ?? "";
  const signed = notes.find((note) => note.state === "signed")?.id;
  const draft = notes.find((note) => note.state === "draft")?.id;
  const prescription = await ask<Prescription>(page, bridge, "save_prescription", {
    id: null,
    clientId: client,
    lines: [{ drug: "Sertraline", form: "tablet", strength: "50 mg", dose: "1", route: "by mouth", frequency: "once a day", duration: "30 days", quantity: "30", refills: 0 }],
    diagnosis: "",
    instructions: "In the morning, with water",
  });
  const tabs = ["overview", "details", "appointments", "notes", "prescriptions", "people"];
  const pages = ["practice", "staff", "computers", "appearance", "security"];
  return [
    "/today",
    "/calendar/day",
    "/calendar/week",
    "/calendar/day?book=1",
    "/clients",
    "/clients/new",
    ...tabs.map((tab) => `/clients/${client}/${tab}`),
    "/notes",
    ...[signed, draft].filter((id) => id !== undefined).map((id) => `/notes/${id}`),
    `/clients/${client}/prescriptions/new`,
    `/prescriptions/${prescription.summary.id}`,
    "/sync",
    ...pages.map((each) => `/settings/${each}`),
  ];
}

/** Boxes that stick out of the window sideways, and controls whose words are cut off. */
function overflowing(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    const found: string[] = [];
    const main = document.querySelector("main");
    if (main && main.scrollWidth > main.clientWidth + 1) found.push(`main is ${main.scrollWidth} wide in ${main.clientWidth}`);
    for (const each of document.querySelectorAll<HTMLElement>("main button, main a, main h1, main h2, main label, nav a, nav button")) {
      const box = each.getBoundingClientRect();
      const scrolls = each.closest("[role=region], [data-calendar], .tabs");
      if (box.width > 0 && !scrolls && box.right > window.innerWidth + 1) found.push(`${each.dataset.testid ?? each.innerText} ends at ${Math.round(box.right)}`);
    }
    return found;
  });
}

test("the list of routes is the one that is walked", async ({ signIn, bridge }) => {
  const page = await signIn("owner");
  const walked = await addresses(page, bridge);
  const routes = JSON.parse(readFileSync("dist-bridge/routes.json", "utf8")) as { path: string; phase: string }[];
  for (const { path } of routes.filter((route) => route.phase === "unlocked")) {
    const pattern = new RegExp(`^${path.replace(/:\w+/g, "[^/?]+")}(\\?.*)?$`);
    expect(walked.some((address) => pattern.test(address)), path).toBe(true);
  }
});

for (const [language, width, scheme] of [
  ["en", 1280, "light"],
  ["ko", 880, "dark"],
  ["en", 640, "dark"],
  ["ko", 640, "light"],
] as const) {
  test(`nothing sticks out and axe finds nothing at ${width} pixels, ${scheme}, ${language}`, async ({ signIn, bridge }) => {
    test.setTimeout(300_000);
    const page = await signIn("owner");
    const walk = await addresses(page, bridge);
    await ask(page, bridge, "set_preferences", { theme: "system", language, density: "comfortable" });
    await page.emulateMedia({ colorScheme: scheme, reducedMotion: "reduce" });
    await page.setViewportSize({ width, height: 760 });
    await page.reload();
    await expect(page.locator("html")).toHaveAttribute("data-theme", scheme);
    await expect(page.locator("html")).toHaveAttribute("lang", language);
    for (const address of walk) {
      await go(page, address);
      if (process.env.CASELOAD_PICTURES) {
        const name = address.replace(/[0-9a-f-]{36}/g, "id").replace(/\W+/g, "-");
        await page.screenshot({ path: `${process.env.CASELOAD_PICTURES}/${language}-${width}-${scheme}${name}.png` });
      }
      expect.soft(await overflowing(page), address).toEqual([]);
      expect.soft(await violations(page), address).toEqual([]);
    }
  });
}
