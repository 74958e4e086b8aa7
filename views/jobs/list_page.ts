/**
 * The launch history: every launch and termination.
 * @module
 */
import type { Job } from '../../domain/job.ts'
import type { Html } from '../html.ts'
import type { Frame } from '../layout.ts'
import { count, duration, when } from '../format.ts'
import { html, nothing } from '../html.ts'
import { layout } from '../layout.ts'
import { badge, emptyState, pageHead } from '../parts.ts'
import { initiatorWords, launchWords } from '../words.ts'

/** The history. */
export interface JobListModel {
  /** Newest first. */
  jobs: Job[]
  hostnames: ReadonlyMap<string, string>
  now: Date
}

/** The page. */
export function jobListPage(frame: Frame, model: JobListModel, stream: string): Html {
  const body = html`${pageHead('Launch history', { lead: 'Tests, cutovers and terminations, newest first.' })}${jobTable(model)}`
  return layout(frame, { title: 'Launch history', section: 'jobs', body, stream })
}

/** The table; a part that live updates replace. */
export function jobTable({ jobs, hostnames, now }: JobListModel): Html {
  if (jobs.length === 0) {
    return html`<div id="job-list">
      ${emptyState('history', 'Nothing was launched yet', html`A test launch from a server’s page will be the first entry.`, html`<a class="button" href="/servers">Source servers</a>`)}
    </div>`
  }
  const rows = jobs.map(
    (job) =>
      html`<tr>
        <th scope="row" data-label="Job">
          <a class="row-name" href="/jobs/${job.jobId}">${initiatorWords[job.initiatedBy]}</a
          ><span class="row-sub">${job.jobId}</span>
        </th>
        <td data-label="Servers">
          ${job.participatingServers.map(({ sourceServerId }) => html`<a href="/servers/${sourceServerId}">${hostnames.get(sourceServerId) ?? sourceServerId}</a> `)}
        </td>
        <td data-label="Result">
          ${job.participatingServers.map((server) => badge(launchWords[server.launchStatus]))}
        </td>
        <td data-label="Started">${when(job.createdAt, now)}</td>
        <td data-label="Took" class="number">
          ${job.endedAt === undefined ? html`<span class="muted">running</span>` : duration(Date.parse(job.endedAt) - Date.parse(job.createdAt))}
        </td>
        <td data-label="By">${job.actor}</td>
      </tr>`,
  )
  return html`<div id="job-list">
    <div class="table-box">
      <table class="table">
        <caption class="visually-hidden">
          ${count(jobs.length, 'job')}
        </caption>
        <thead>
          <tr>
            <th scope="col">Job</th>
            <th scope="col">Servers</th>
            <th scope="col">Result</th>
            <th scope="col">Started</th>
            <th scope="col" class="number">Took</th>
            <th scope="col">By</th>
          </tr>
        </thead>
        <tbody>
          ${rows}
        </tbody>
      </table>
    </div>
    ${nothing}
  </div>`
}
