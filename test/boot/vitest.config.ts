import { defineConfig } from 'vitest/config'

// machines boot under software emulation: one file at a time, and nothing is quick
export default defineConfig({
  test: {
    root: `${import.meta.dirname}/../..`,
    include: ['test/boot/**/*.test.ts'],
    globalSetup: ['test/global-setup.ts'],
    pool: 'forks',
    maxWorkers: 1,
    testTimeout: 600_000,
    hookTimeout: 600_000,
    reporters: ['verbose', './test/closing-line.ts'],
  },
})
