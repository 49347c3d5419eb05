// Few rules: what neither the compiler nor svelte-check sees. Which part may import which is tested in src/structure.test.ts.
import svelte from "eslint-plugin-svelte";
import ts from "typescript-eslint";

export default [
  { ignores: ["dist/", "dist-bridge/", "src/lib/paraglide/", "src/lib/backend/bindings.ts", "test-results/"] },
  ...ts.configs.recommended,
  ...svelte.configs.recommended,
  {
    files: ["**/*.svelte", "**/*.svelte.ts"],
    languageOptions: { parserOptions: { parser: ts.parser } },
  },
  {
    rules: {
      // The compiler knows every name, and better.
      "no-undef": "off",
      "no-console": "error",
      eqeqeq: "error",
      "svelte/no-at-html-tags": "error",
      // Addresses are fragments made by `href`, which knows every route.
      "svelte/no-navigation-without-resolve": "off",
      // `condition && act()` and `(first(), second())` are how short handlers are written here.
      "@typescript-eslint/no-unused-expressions": "off",
      // Fixtures of the browser tests name what they take, also when they take nothing.
      "no-empty-pattern": "off",
    },
  },
  { files: ["scripts/**"], rules: { "no-console": "off" } },
];
