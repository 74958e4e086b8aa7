/**
 * Test runner settings: real parts are started by the tests themselves, so few files run at a time on a small machine. Four keep two processors
 * busy: most tests wait now and then for a process, a timer or a page.
 * @module
 */
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    testTimeout: 60_000,
    hookTimeout: 120_000,
    pool: 'forks',
    maxWorkers: 4,
    // Machines are boot sectors here: a trial of KVM for each service that starts would take longer than they do.
    env: { REHOST_ACCELERATOR: 'tcg' },
    projects: [
      {
        extends: true,
        // Files that start no service share a process: starting one for each takes a third of their time.
        test: { name: 'unit', include: ['test/unit/**/*_test.ts'], isolate: false },
      },
      {
        extends: true,
        test: {
          name: 'service',
          include: ['test/contract/**/*_test.ts', 'test/integration/**/*_test.ts'],
          // Whole guests are built, converted and booted by their own configuration.
          exclude: ['test/integration/conversion*_test.ts'],
        },
      },
    ],
  },
})
