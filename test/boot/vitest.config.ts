import { defineConfig } from 'vitest/config'

// machines boot under software emulation: nothing is quick, and each keeps about one core busy
export default defineConfig({
  test: {
    root: `${import.meta.dirname}/../..`,
    include: ['test/boot/**/*.test.ts'],
    globalSetup: ['test/global-setup.ts'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 600_000,
    hookTimeout: 600_000,
    reporters: ['verbose', './test/closing-line.ts'],
  },
})
