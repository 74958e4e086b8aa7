/**
 * Tests with whole guests: built, converted, booted, migrated. First the migration: without KVM its guest needs both processors of a small
 * machine, and is many times slower when it does not get them. It waits a quarter of the time all the same: the tests that only need an
 * appliance use that, with low priority. Then those that convert and boot guests, two files at a time.
 * @module
 */
import { defineConfig } from 'vitest/config'

const patient = { testTimeout: 15 * 60_000, hookTimeout: 15 * 60_000, pool: 'forks' } as const
/** All of them begin at once. */
const together = { sequence: { groupOrder: 1 }, maxWorkers: 3, ...patient } as const
const needsNoGuest = [
  'test/integration/conversion_appliance_test.ts',
  'test/integration/conversion_layouts_test.ts',
]

export default defineConfig({
  test: {
    globalSetup: 'test/fixtures/early_tree.ts',
    projects: [
      { test: { name: 'migration', include: ['test/e2e/**/*_test.ts'], ...together } },
      {
        test: {
          name: 'appliance',
          include: needsNoGuest,
          setupFiles: 'test/fixtures/low_priority.ts',
          ...together,
        },
      },
      {
        test: {
          name: 'conversion',
          include: ['test/integration/conversion*_test.ts'],
          exclude: needsNoGuest,
          sequence: { groupOrder: 2 },
          maxWorkers: 2,
          ...patient,
        },
      },
    ],
  },
})
