import { defineConfig } from 'vitest/config'

// 15 GB are hashed four times, 100,000 signatures are judged, and thousands of them by a program of their own
export default defineConfig({
  test: {
    root: `${import.meta.dirname}/../..`,
    include: ['test/minisign/**/*.test.ts'],
    globalSetup: ['test/global-setup.ts'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 1_800_000,
    hookTimeout: 120_000,
    reporters: ['verbose', './test/closing-line.ts'],
  },
})
