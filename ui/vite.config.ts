import { svelte } from "@sveltejs/vite-plugin-svelte";
import { fileURLToPath } from "node:url";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";
import { routes } from "./src/lib/router/routes.ts";

/** Lays the router's list beside the build, so that checks of the built window walk the same routes. */
function routeList(): Plugin {
  return {
    name: "route-list",
    generateBundle() {
      this.emitFile({ type: "asset", fileName: "routes.json", source: JSON.stringify(routes, null, 2) });
    },
  };
}

// `vite build` is what ships: its only backend is the shell. `vite build --mode bridge` talks HTTP to a test bridge instead and
// goes to a folder of its own, so that neither can be taken for the other.
export default defineConfig(({ command, mode }) => {
  const bridge = mode === "bridge" || (command === "serve" && mode !== "test");
  return {
    plugins: [svelte(), routeList()],
    base: "./",
    define: { __BRIDGE__: JSON.stringify(bridge) },
    resolve: {
      alias: { $lib: fileURLToPath(new URL("./src/lib", import.meta.url)) },
      conditions: mode === "test" ? ["browser"] : undefined,
    },
    build: {
      target: ["safari16.4", "chrome111"],
      outDir: mode === "bridge" ? "dist-bridge" : "dist",
      emptyOutDir: true,
      modulePreload: { polyfill: false },
      assetsInlineLimit: 0,
      chunkSizeWarningLimit: 900,
    },
    server: { port: 5173, strictPort: true, host: "127.0.0.1" },
    test: { include: ["src/**/*.test.ts"], environment: "node" },
  };
});
