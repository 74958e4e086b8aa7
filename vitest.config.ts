/**
 * Test runner settings: real parts are started by the tests themselves, so files run one after another on a small machine.
 * @module
 */
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*_test.ts'],
    // Whole guests are built, converted and booted by their own configuration.
    exclude: ['test/e2e/**', 'test/integration/conversion*_test.ts', 'node_modules/**'],
    testTimeout: 60_000,
    hookTimeout: 120_000,
    pool: 'forks',
    maxWorkers: 3,
  },
})
