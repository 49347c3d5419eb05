import { defineConfig } from "@playwright/test";

const port = 4173;

// Debian's Chromium; nothing is fetched. Behind the page is the real program: see e2e/clinic.ts.
export default defineConfig({
  testDir: "e2e",
  globalSetup: "./e2e/demo.ts",
  fullyParallel: false,
  workers: 1,
  forbidOnly: true,
  timeout: 120_000,
  expect: { timeout: 30_000 },
  reporter: [["list"]],
  outputDir: "test-results",
  use: {
    baseURL: `http://127.0.0.1:${port}`,
    viewport: { width: 1280, height: 840 },
    locale: "en-US",
    launchOptions: {
      executablePath: process.env.CASELOAD_CHROMIUM ?? "/usr/bin/chromium",
      // Chromium refuses its sandbox to root and to nobody else.
      chromiumSandbox: process.getuid?.() !== 0,
    },
  },
  webServer: {
    command: `npx vite preview --outDir dist-bridge --host 127.0.0.1 --port ${port} --strictPort`,
    url: `http://127.0.0.1:${port}/index.html`,
    reuseExistingServer: false,
  },
});
