/**
 * Tests with whole guests: built, converted, booted, migrated. First the migration by itself: without KVM its guest needs both processors of a
 * small machine, and is many times slower when it does not get them. Then the others, two files at a time. Those that
 * boot no guest can wait for a processor: `scripts/checks.ts` runs them beside the migration, at the lowest priority.
 * @module
 */
import { defineConfig } from 'vitest/config'

const patient = { testTimeout: 15 * 60_000, hookTimeout: 15 * 60_000, pool: 'forks' } as const

const withoutGuest = ['appliance', 'layouts'].map((name) => `test/integration/conversion_${name}_test.ts`)
const interruptedDemo = 'test/e2e/demo_interrupted_test.ts'
const diskImages = ['disk_image', 'aws_cli'].map((name) => `test/e2e/${name}_test.ts`)

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'migration',
          include: ['test/e2e/**/*_test.ts'],
          exclude: [interruptedDemo, ...diskImages],
          maxWorkers: 1,
          // With 0 a project of one worker would come last.
          sequence: { groupOrder: 1 },
          ...patient,
        },
      },
      {
        test: {
          name: 'conversion',
          include: [...diskImages, 'test/integration/conversion*_test.ts'],
          exclude: withoutGuest,
          maxWorkers: 2,
          sequence: { groupOrder: 2 },
          ...patient,
        },
      },
      {
        test: {
          name: 'patient',
          include: [...withoutGuest, interruptedDemo],
          maxWorkers: 2,
          sequence: { groupOrder: 3 },
          ...patient,
        },
      },
    ],
  },
})
