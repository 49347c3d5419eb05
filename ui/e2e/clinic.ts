// A computer of the demonstration: a copy of its profile, the real program on it, and the window's pages in a browser.
import { test as base, expect, type Page } from "@playwright/test";
import { spawn, type ChildProcess } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { program } from "./programs";

/** Sign-ins of the demonstration. */
export const people = {
  owner: { name: "Dr. Hana Seo", passphrase: "quiet river morning" },
  desk: { name: "Yuna Baek", passphrase: "sunflower by the door" },
};

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

interface Clinic {
  /** The folder of the computer's profile, before a program works on it. */
  profile: string;
  /** The address of the program behind the page. */
  bridge: string;
  /** The page with somebody signed in. */
  signIn: (who: keyof typeof people) => Promise<Page>;
}

export const test = base.extend<Clinic>({
  profile: async ({}, use) => {
    const folder = mkdtempSync(join(tmpdir(), "caseload-window-"));
    const profile = join(folder, "profile");
    try {
      cpSync(join(process.env.CASELOAD_DEMO ?? "", "profile"), profile, { recursive: true });
      await use(profile);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
  bridge: async ({ profile }, use) => {
    const { address, stop } = await serve(profile);
    try {
      await use(address);
    } finally {
      await stop();
    }
  },
  signIn: async ({ page, bridge }, use) => {
    await use(async (who) => {
      await page.goto(`/index.html?bridge=${encodeURIComponent(bridge)}`);
      await page.getByRole("radio", { name: people[who].name }).check();
      await page.getByTestId("unlock-passphrase").fill(people[who].passphrase);
      await page.getByTestId("unlock-submit").click();
      await expect(page.getByTestId("screen-today")).toBeVisible();
      return page;
    });
  },
});

export { expect };

/** The real program on a profile, as it stands behind the page of one computer. */
export async function serve(profile: string): Promise<{ address: string; stop: () => Promise<void> }> {
  const folder = dirname(profile);
  const child = spawn(program("caseload-bridge"), ["--profile", profile, "--listen", "127.0.0.1:0"], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, HOME: folder, XDG_DOCUMENTS_DIR: join(folder, "documents") },
  });
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const stop = async () => {
    child.kill();
    await ended;
  };
  try {
    return { address: await addressOf(child), stop };
  } catch (failure) {
    await stop();
    throw failure;
  }
}

function addressOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let said = "";
    child.stdout?.on("data", (chunk: Buffer) => {
      said += chunk.toString();
      const found = /listening on (http:\/\/\S+)/.exec(said);
      if (found?.[1]) resolve(found[1]);
    });
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`the program ended with ${code}: ${said}`)));
  });
}

/** Asks the program behind the page, as the page itself would. */
export async function ask<T>(page: Page, bridge: string, command: string, request?: unknown): Promise<T> {
  const answer = await page.request.post(`${bridge}/command/${command}`, { data: request === undefined ? {} : { request } });
  expect(answer.ok(), command).toBe(true);
  return (await answer.json()) as T;
}

/** Goes to an address of the window and waits until it shows what it has. */
export async function go(page: Page, address: string) {
  await page.evaluate((to) => (window.location.hash = to), address);
  await expect(page.locator("[data-testid^=screen-]")).toBeVisible();
  await expect(page.locator("[aria-busy=true], [data-testid=loading]")).toHaveCount(0);
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
}

/** What axe finds on the page as it is. */
export async function violations(page: Page): Promise<string[]> {
  await page.evaluate(axe);
  return page.evaluate(async () => {
    const run = (window as unknown as { axe: { run: (on: Document, how: object) => Promise<AxeResult> } }).axe.run;
    interface AxeResult {
      violations: { id: string; nodes: { target: string[] }[] }[];
    }
    const found = await run(document, { resultTypes: ["violations"] });
    return found.violations.map((each) => `${each.id}: ${each.nodes.map((node) => node.target.join(" ")).join(", ")}`);
  });
}
