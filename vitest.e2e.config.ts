/**
 * Tests with whole guests: built, converted, booted, migrated. Two files at a time; the migration, which takes longest, is begun first.
 * @module
 */
import { defineConfig } from 'vitest/config'
import { BaseSequencer } from 'vitest/node'
import type { TestSpecification } from 'vitest/node'

class MigrationFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files)
    const isMigration = (file: TestSpecification): boolean => file.moduleId.includes('/e2e/')
    return [...sorted.filter(isMigration), ...sorted.filter((file) => !isMigration(file))]
  }
}

export default defineConfig({
  test: {
    include: ['test/e2e/**/*_test.ts', 'test/integration/conversion*_test.ts'],
    testTimeout: 15 * 60_000,
    hookTimeout: 15 * 60_000,
    pool: 'forks',
    maxWorkers: 2,
    sequence: { sequencer: MigrationFirst },
  },
})
