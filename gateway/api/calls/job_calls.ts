/**
 * The calls of `/api/v1` about jobs.
 * @module
 */
import type { DescribedCall } from './described_call.ts'
import { conversionReport, job, jobLog, jobs, jobTasks } from '../answers/job_answers.ts'
import { pageQuery } from '../list_paging.ts'

/** Each of them. */
export const jobCalls: readonly DescribedCall[] = [
  {
    method: 'get',
    path: '/jobs',
    summary: 'Jobs, newest first, page by page',
    role: 'viewer',
    answer: jobs,
    query: pageQuery,
  },
  { method: 'get', path: '/jobs/:id', summary: 'One job', role: 'viewer', answer: job },
  {
    method: 'get',
    path: '/jobs/:id/log',
    summary: 'The log of a job, oldest first',
    role: 'viewer',
    answer: jobLog,
  },
  {
    method: 'get',
    path: '/jobs/:id/tasks',
    summary: 'The steps of a job, for each of its servers',
    role: 'viewer',
    answer: jobTasks,
  },
  {
    method: 'get',
    path: '/jobs/:id/servers/:server/:artefact',
    summary: 'What a launch left: serial.log, screenshot.png, conversion.json or actions.log',
    role: 'viewer',
    answer: conversionReport,
    media: { 'text/plain': 'serial.log and actions.log', 'image/png': 'screenshot.png' },
  },
]
