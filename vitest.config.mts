import { defineConfig } from "vitest/config";

/** Tests that need a packaged extension or a running workbench are projects of their own; everything else needs only the sources. */
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: "typescript",
          include: ["test/**/*.test.ts"],
          exclude: ["test/package/**", "test/workbench/**"],
          testTimeout: 20_000,
        },
      },
      {
        test: {
          name: "package",
          include: ["test/package/**/*.test.ts"],
          testTimeout: 60_000,
          hookTimeout: 120_000,
        },
      },
      {
        test: {
          name: "workbench",
          include: ["test/workbench/outside/**/*.test.ts"],
          // One workbench at a time: two of them on two cores would time each other out.
          fileParallelism: false,
          testTimeout: 180_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
