/**
 * What a job left of each of its servers: its task, the conversion's changes, the serial log and the screenshot.
 * @module
 */
import type { JobId, SourceServerId } from '../domain/ids.ts'
import type { Job, ParticipatingServer } from '../domain/job.ts'
import type { Task } from '../domain/task.ts'
import type { ConversionChange, LaunchReport } from '../views/jobs/job_page.ts'
import type { Services } from './services.ts'
import { z } from 'zod'
import { taskId } from '../domain/ids.ts'
import { parseJson } from './request.ts'

/** Characters of the serial log on the page; the whole is a download. */
const maxSerialCharacters = 16_000

/** Bytes of the serial log that are read for them: control sequences are taken out. */
const maxSerialBytes = 64 * 1024

/** A longer conversion report is a download alone. */
const maxReportBytes = 1024 * 1024

/** The task that does a job's work for a server: its name comes from the job. */
export async function findJobTask(
  { store }: Pick<Services, 'store'>,
  job: Job,
  sourceServerId: SourceServerId,
): Promise<Task | undefined> {
  const kind = job.type === 'TERMINATE' ? 'TERMINATE' : 'LAUNCH'
  return (await store.get('task', { id: taskId(kind, sourceServerId, job.jobId) }))?.value
}

/** The reports of a job, one a server. */
export async function findReports(
  services: Pick<Services, 'store' | 'fleet' | 'artefacts'>,
  job: Job,
): Promise<LaunchReport[]> {
  const hostnames = await findHostnames(services)
  return Promise.all(
    job.participatingServers.map(async (server) => {
      const { sourceServerId } = server
      return {
        server,
        hostname: hostnames.get(sourceServerId) ?? sourceServerId,
        task: await findJobTask(services, job, sourceServerId),
        ...(await findArtefacts(services, job.jobId, server)),
      }
    }),
  )
}

/** Host names by server id. */
export async function findHostnames({ fleet }: Pick<Services, 'fleet'>): Promise<Map<string, string>> {
  const servers = await fleet.list()
  return new Map(
    servers.map(({ sourceServerId, sourceProperties }) => [
      sourceServerId,
      sourceProperties.identificationHints.hostname,
    ]),
  )
}

async function findArtefacts(
  { artefacts }: Pick<Services, 'artefacts'>,
  jobId: JobId,
  { sourceServerId }: ParticipatingServer,
): Promise<Pick<LaunchReport, 'conversion' | 'serialLog' | 'hasScreenshot'>> {
  const [serial, screenshot, conversion] = await Promise.all([
    artefacts.readEnd(jobId, sourceServerId, 'serial.log', maxSerialBytes),
    artefacts.readEnd(jobId, sourceServerId, 'screenshot.png', 1),
    artefacts.readEnd(jobId, sourceServerId, 'conversion.json', maxReportBytes),
  ])
  return {
    conversion: conversion === undefined ? [] : readConversion(new TextDecoder().decode(conversion)),
    serialLog: serial === undefined ? undefined : plainText(new TextDecoder().decode(serial)),
    hasScreenshot: screenshot !== undefined,
  }
}

const conversionSchema = z.object({
  changes: z.array(z.object({ name: z.string(), detail: z.string() })),
})

/** The changes in a conversion report; one of another form is shown as having none, and is still a download. */
function readConversion(text: string): ConversionChange[] {
  const report = conversionSchema.safeParse(parseJson(text))
  return report.success ? report.data.changes : []
}

/** The end of a console's output without its control sequences. */
export function plainText(output: string): string {
  const escape = String.fromCharCode(27)
  const sequences = new RegExp(
    `${escape}(?:\\[[0-9;?]*[ -/]*[@-~]|\\][^${escape}\\u0007]*(?:\\u0007|${escape}\\\\)|[@-Z\\\\-_])`,
    'g',
  )
  const controls = new RegExp(
    `[${String.fromCharCode(0)}-${String.fromCharCode(8)}${String.fromCharCode(11)}-${String.fromCharCode(31)}${String.fromCharCode(127)}]`,
    'g',
  )
  return output
    .replace(sequences, '')
    .replace(/\r\n?/g, '\n')
    .replace(controls, '')
    .slice(-maxSerialCharacters)
}
