/**
 * Tests with whole guests: built, converted, booted, migrated. First the migration by itself: without KVM its guest needs both processors of a
 * small machine, and is many times slower when it does not get them. Then the others, two files at a time.
 * @module
 */
import { defineConfig } from 'vitest/config'

const patient = { testTimeout: 15 * 60_000, hookTimeout: 15 * 60_000, pool: 'forks' } as const

export default defineConfig({
  test: {
    globalSetup: 'test/fixtures/early_tree.ts',
    projects: [
      {
        test: {
          name: 'migration',
          include: ['test/e2e/**/*_test.ts'],
          maxWorkers: 1,
          // With 0 a project of one worker would come last.
          sequence: { groupOrder: 1 },
          ...patient,
        },
      },
      {
        test: {
          name: 'conversion',
          include: ['test/integration/conversion*_test.ts'],
          maxWorkers: 2,
          sequence: { groupOrder: 2 },
          ...patient,
        },
      },
    ],
  },
})
