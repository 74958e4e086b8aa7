/**
 * Tests with whole guests: built, converted, booted, migrated; one file at a time.
 * @module
 */
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/e2e/**/*_test.ts', 'test/integration/conversion*_test.ts'],
    testTimeout: 15 * 60_000,
    hookTimeout: 15 * 60_000,
    fileParallelism: false,
    pool: 'forks',
  },
})
