import { defineConfig } from 'vitest/config'

// a Debian of 17,000 files is published, installed and updated, and an apply is killed fifty times
export default defineConfig({
  test: {
    root: `${import.meta.dirname}/../..`,
    include: ['test/tree/**/*.test.ts', 'test/cli/tree-kills.test.ts'],
    globalSetup: ['test/global-setup.ts'],
    pool: 'forks',
    maxWorkers: 1,
    testTimeout: 1_800_000,
    hookTimeout: 600_000,
    reporters: ['verbose', './test/closing-line.ts'],
    env: { PSYBLOB_KILLS: process.env['PSYBLOB_KILLS'] ?? '50' },
  },
})
