/**
 * What every cloud must do, whatever it is. A new provider gets the whole suite from a short test file that says how it is made and
 * what it cannot do.
 * @module
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe } from 'vitest'
import type { CloudSubject } from './cloud_bench.ts'
import { CloudBench } from './cloud_bench.ts'
import { sentCommands } from './cloud_commands.ts'
import { launchedMachines } from './cloud_machines.ts'
import { everyResource } from './cloud_resources.ts'
import { stagingArea } from './cloud_staging.ts'

/** Runs the suite over `subject`. */
export function cloudContract(subject: CloudSubject): void {
  describe(`${subject.name} cloud`, () => {
    let folder: string
    let bench: CloudBench

    beforeEach(async () => {
      folder = await mkdtemp(path.join(tmpdir(), 'rehost-cloud-'))
      bench = new CloudBench(subject, await subject.make(folder))
    })
    afterEach(async () => {
      await bench.cloud.dispose()
      await rm(folder, { recursive: true, force: true })
    })

    for (const part of [everyResource, stagingArea, launchedMachines, sentCommands]) part(() => bench)
  })
}
